"""What runs have cost in a workspace so far: the yardstick for those that are to come."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eval_app.models import Run
from retrieval_app.retrievers import RSPG_POST
from training_app.costs.estimates import PUE
from training_app.costs.hardware import GPUS
from training_app.costs.storage import BYTES_A_VALUE
from training_app.models import BaseModel
from users_app.models import Workspace

RUNS_READ: Final = 300


@dataclass(frozen=True, kw_only=True)
class MeasuredRun:
    """One run that is done: what it was, and what it cost."""

    task: str
    family: str
    rank: int | None
    epochs: int | None
    adapter_dtype: str
    num_beams: int | None
    questions: int
    costs: Mapping[str, Any]
    hardware: Mapping[str, Any]
    outputs: int = 1
    """How many the base model gave to a question: one of each member of the pool, where they were chosen among."""

    @property
    def question_seconds(self) -> float | None:
        """Seconds a question, of one worker; None where it was not measured."""
        parts = [self.costs.get(name) for name in ("retrieval_ms", "adapter_ms", "model_ms")]
        return None if parts[-1] is None else sum(part or 0.0 for part in parts) / 1000

    @property
    def watts(self) -> float | None:
        """What its accelerator draws at its limit, with the site's share; None where the model is not in our table."""
        name = str(self.hardware.get("accelerator", "")).lower()
        for gpu in sorted(GPUS.values(), key=lambda gpu: -len(gpu.name)):
            if name and all(part in name for part in gpu.name.split("-")):
                return gpu.watts * PUE
        return None


def measured_runs(*, workspace: Workspace, base_model: BaseModel) -> list[MeasuredRun]:
    """The newest runs of `workspace` on this base model that are done, at most `RUNS_READ`."""
    found = Run.objects.filter(
        workspace=workspace, base_model=base_model, state=Run.State.DONE, costs__isnull=False
    ).order_by("-pk")[:RUNS_READ]
    return [
        MeasuredRun(
            task=task,
            family=family,
            rank=rank,
            epochs=hyperparameters.get("epochs"),
            adapter_dtype=adapter_dtype,
            num_beams=parameters.get("num_beams"),
            questions=questions,
            costs=costs or {},
            hardware=hardware,
            outputs=outputs_a_question(retriever, pool),
        )
        for (
            task,
            family,
            rank,
            hyperparameters,
            adapter_dtype,
            parameters,
            questions,
            costs,
            hardware,
            retriever,
            pool,
        ) in (
            found.values_list(
                "split__task",
                "family",
                "rank",
                "hyperparameters",
                "adapter_dtype",
                "parameters",
                "question_count",
                "costs",
                "hardware",
                "retriever",
                "selector__pool",
            )
        )
    ]


def outputs_a_question(retriever: str | None, pool: Sequence[Any] | None) -> int:
    """How many outputs the base model gives to a question that is answered with this retriever.

    RSPG-Post chooses among the outputs of its whole pool; every other method makes one.

    >>> outputs_a_question("rspg-post", ["none", "bm25", "recency"]), outputs_a_question("rspg-pre", ["none", "bm25"])
    (3, 1)
    """
    return len(pool) if retriever == RSPG_POST and pool else 1


@dataclass(frozen=True)
class Measure:
    """A mean of what was measured, watts where known of all of them, and in words what it is of."""

    value: float
    watts: float | None
    basis: str


def training_seconds(runs: Sequence[MeasuredRun], *, task: str, rank: int, epochs: int) -> Measure | None:
    """Seconds of one worker for one adapter, by the runs likest to it; in proportion to the epochs."""
    trained = [run for run in runs if run.costs.get("adapters") and run.costs.get("training_seconds") and run.epochs]
    found = _likest(
        trained,
        ("the same task and rank", lambda run: run.task == task and run.rank == rank),
        ("the same task with other ranks", lambda run: run.task == task),
        ("other tasks", lambda run: True),
    )
    if found is None:
        return None
    words, own = found
    seconds = sum(run.costs["training_seconds"] * epochs / (run.epochs or epochs) for run in own)
    scaled = "" if all(run.epochs == epochs for run in own) else f", in proportion to {epochs} epochs"
    basis = f"training measured here in runs of {words}{scaled}{_where(own)}"
    return Measure(seconds / sum(run.costs["adapters"] for run in own), _watts(own), basis)


def adapter_bytes(runs: Sequence[MeasuredRun], *, rank: int, dtype: str) -> Measure | None:
    """Bytes of one stored adapter, by the runs likest to it; in proportion to rank and bytes a value."""
    stored = [run for run in runs if run.costs.get("adapters") and run.costs.get("adapter_bytes") and run.rank]
    found = _likest(
        [run for run in stored if run.adapter_dtype in BYTES_A_VALUE],
        ("the same rank", lambda run: run.rank == rank and run.adapter_dtype == dtype),
        ("other ranks or precisions, in proportion", lambda run: True),
    )
    if found is None:
        return None
    words, own = found

    def in_proportion(run: MeasuredRun) -> float:
        to_this_dtype = BYTES_A_VALUE[dtype] / BYTES_A_VALUE[run.adapter_dtype]
        return float(run.costs["adapter_bytes"]) * rank / (run.rank or rank) * to_this_dtype

    size = sum(in_proportion(run) for run in own) / sum(run.costs["adapters"] for run in own)
    return Measure(size, None, f"bytes of adapters stored here, of {words}")


def question_seconds(
    runs: Sequence[MeasuredRun], *, task: str, family: str, num_beams: int, outputs: int = 1
) -> Measure | None:
    """Seconds of one worker for one answer, by the runs likest to it; in proportion to the outputs that it takes."""
    timed = [run for run in runs if run.question_seconds is not None and run.questions]
    found = _likest(
        timed,
        (
            "the same kind of method on the same task",
            lambda run: run.task == task and run.family == family and run.num_beams == num_beams,
        ),
        ("the same kind of method and task with other beams", lambda run: run.task == task and run.family == family),
        ("the same kind of method on other tasks", lambda run: run.family == family),
        ("other methods", lambda run: True),
    )
    if found is None:
        return None
    words, own = found
    seconds = sum((run.question_seconds or 0.0) * run.questions for run in own)
    an_output = seconds / sum(run.questions * run.outputs for run in own)
    scaled = "" if all(run.outputs == outputs for run in own) else ", in proportion to the outputs of a question"
    basis = f"answers timed here in runs of {words}{scaled}{_where(own)}"
    return Measure(an_output * outputs, _watts(own), basis)


def _likest(
    runs: Sequence[MeasuredRun], *tiers: tuple[str, Callable[[MeasuredRun], bool]]
) -> tuple[str, list[MeasuredRun]] | None:
    for words, belongs in tiers:
        own = [run for run in runs if belongs(run)]
        if own:
            return words, own
    return None


def _watts(runs: Sequence[MeasuredRun]) -> float | None:
    known = [run.watts for run in runs]
    return None if not known or any(watts is None for watts in known) else sum(w for w in known if w) / len(known)


def _where(runs: Sequence[MeasuredRun]) -> str:
    names = {str(run.hardware.get("accelerator") or run.hardware.get("processor") or "") for run in runs} - {""}
    return f" ({', '.join(sorted(names)[:3])})" if names else ""
