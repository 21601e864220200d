"""What a method costs on a task, for each user or question: from what its run recorded.

What a method does not do costs nothing: without an adapter there is no training and nothing to load or store, without a
retriever no retrieval. Whatever else was not recorded is not known, and stays so in every sum and mean.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from eval_app.methods import Family

_SECONDS_AN_HOUR: Final = 3600


@dataclass(frozen=True)
class Power:
    """What turns seconds into energy: the machine's power, and the whole site's over that of its machines (PUE).

    Raises ValueError for what no machine or site has.
    """

    watts: float
    pue: float

    def __post_init__(self) -> None:
        if not 0 < self.watts <= 1_000_000 or not 1 <= self.pue <= 10:
            raise ValueError("the power must be above 0 W and at most a megawatt, the PUE from 1 to 10")

    def watt_hours(self, seconds: float) -> float:
        return seconds * self.watts * self.pue / _SECONDS_AN_HOUR


@dataclass(frozen=True, kw_only=True)
class Spending:
    """Costs of one user (training, storage) and of one question (the rest); None: not known."""

    training_seconds: float | None = None
    adapter_bytes: float | None = None
    training_wh: float | None = None
    prompt_tokens: float | None = None
    retrieval_ms: float | None = None
    adapter_ms: float | None = None
    generation_ms: float | None = None
    latency_ms: float | None = None
    answer_wh: float | None = None


@dataclass(frozen=True)
class Measure:
    """One of the fields of `Spending`, for people."""

    name: str
    title: str
    unit: str


MEASURES: Final = (
    Measure("training_seconds", "Training a user", "s"),
    Measure("adapter_bytes", "Adapter of a user", "bytes"),
    Measure("training_wh", "Energy of training a user", "Wh"),
    Measure("prompt_tokens", "Prompt", "tokens"),
    Measure("retrieval_ms", "Retrieval", "ms"),
    Measure("adapter_ms", "Loading the adapter", "ms"),
    Measure("generation_ms", "Generation", "ms"),
    Measure("latency_ms", "All of an answer", "ms"),
    Measure("answer_wh", "Energy of an answer", "Wh"),
)


def spending(*, family: Family, costs: Mapping[str, Any] | None, questions: int, power: Power) -> Spending:
    """What a run of `family` that answered so many questions cost; `costs` are `Run.costs`, None before it was scored.

    An adapter is one user's, so a mean over adapters is one over the users who have one.
    """
    found = costs or {}
    # Of what was made elsewhere nothing is known.
    is_ours = family is not Family.IMPORTED
    seconds = stored = 0.0 if is_ours else None
    if family.adapts:
        seconds = _each(found.get("training_seconds"), found.get("adapters"))
        stored = _each(found.get("adapter_bytes"), found.get("adapters"))
    retrieval = found.get("retrieval_ms") if family.retrieves or not is_ours else 0.0
    loading = found.get("adapter_ms") if family.adapts or not is_ours else 0.0
    generation = found.get("model_ms")
    latency = _sum((retrieval, loading, generation))
    return Spending(
        training_seconds=seconds,
        adapter_bytes=stored,
        training_wh=None if seconds is None else power.watt_hours(seconds),
        prompt_tokens=_each(found.get("input_tokens"), questions),
        retrieval_ms=retrieval,
        adapter_ms=loading,
        generation_ms=generation,
        latency_ms=latency,
        answer_wh=None if latency is None else power.watt_hours(latency / 1000),
    )


def mean_spending(several: Iterable[Spending]) -> Spending:
    """The mean of each cost; not known where one of them is not, or where there is none."""
    found = list(several)
    values: dict[str, float | None] = {}
    for field in fields(Spending):
        total = _sum(getattr(one, field.name) for one in found)
        values[field.name] = _each(total, len(found))
    return Spending(**values)


@dataclass(frozen=True)
class Projection:
    """What so many users cost in all: training and keeping an adapter of each; None: not known."""

    training_hours: float | None
    stored_bytes: float | None
    training_kwh: float | None


def projection(one: Spending, *, users: int) -> Projection:
    """The costs of `users` users like those that `one` is the mean of, on one machine."""

    def of_all(value: float | None, divisor: float = 1) -> float | None:
        return None if value is None else value * users / divisor

    return Projection(
        training_hours=of_all(one.training_seconds, _SECONDS_AN_HOUR),
        stored_bytes=of_all(one.adapter_bytes),
        training_kwh=of_all(one.training_wh, 1000),
    )


def _each(total: float | None, number: int | None) -> float | None:
    return None if total is None or not number else total / number


def _sum(values: Iterable[float | None]) -> float | None:
    found = list(values)
    return None if any(value is None for value in found) else sum(value for value in found if value is not None)
