"""What the metrics of a trained model say of it, for its pages. What is not there is left out, and nothing fails.

By task of the dev split they are mean utilities (`lamp.utility`: 0 to 1, higher is better, of any metric). A selector's
are of what it chooses, of each member of its pool by itself, and of the best member of each question; an encoder's of
the documents that it retrieves, of those that the initial one does, and of the best documents of each question.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from retrieval_app.retrievers import POOL_TITLES

_INITIAL = "Initial encoder"


@dataclass(frozen=True)
class DevResult:
    """A task of the dev split: what the model reaches, what there was without it, and what can be reached.

    `best_single` is the best of `others` (each with its title): the members of a selector's pool, or the encoder that
    a training began from. `share` is how much of what is possible the model gets: 0 at the best single, 1 at the
    oracle; None where the oracle is no better than it.
    """

    task: str
    questions: int
    value: float
    best_single: float
    best_title: str
    oracle: float
    others: tuple[tuple[str, float | None], ...] = ()

    @property
    def share(self) -> float | None:
        possible = self.oracle - self.best_single
        return (self.value - self.best_single) / possible if possible > 0 else None

    @property
    def percent(self) -> float | None:
        """`share` in percent."""
        return None if self.share is None else 100 * self.share


def dev_results(metrics: Mapping[str, Any], *, pool: Sequence[str]) -> list[DevResult]:
    """Of each task, in the order of their names; of equal members the first of the `pool` is the best."""
    found = [_result(task, _mapping(told), pool=pool) for task, told in sorted(_mapping(metrics.get("dev")).items())]
    return [one for one in found if one is not None]


def _result(task: str, told: Mapping[str, Any], *, pool: Sequence[str]) -> DevResult | None:
    members = _mapping(told.get("members"))
    # An object of the database does not keep its order.
    others = [(POOL_TITLES.get(name, name), members.get(name)) for name in pool]
    if "initial" in told:
        others.append((_INITIAL, told["initial"]))
    known = [(title, value) for title, value in others if value is not None]
    value, oracle = told.get("selector", told.get("encoder")), told.get("oracle")
    if not known or value is None or oracle is None:
        return None
    best, best_single = max(known, key=lambda one: one[1])
    return DevResult(task, int(told.get("questions", 0)), value, best_single, best, oracle, others=tuple(others))


def mean_of(results: Sequence[DevResult]) -> DevResult | None:
    """The mean over tasks, each with the same weight; the best single member is each task's own."""
    if not results:
        return None
    titles = dict.fromkeys(one.best_title for one in results)
    return DevResult(
        task=", ".join(one.task for one in results),
        questions=sum(one.questions for one in results),
        value=fmean(one.value for one in results),
        best_single=fmean(one.best_single for one in results),
        best_title=next(iter(titles)) if len(titles) == 1 else "each task's own",
        oracle=fmean(one.oracle for one in results),
    )


def validations_of(metrics: Mapping[str, Any]) -> list[tuple[int, float]]:
    """(optimizer step, what was measured on the dev split after it), step by step."""
    found = metrics.get("validations")
    return [(int(step), float(value)) for step, value in found] if isinstance(found, list) else []


def rounds_of(metrics: Mapping[str, Any]) -> int:
    """Of how many rounds of training it is the mean; 0 where it was trained in one go."""
    found = metrics.get("rounds")
    return len(found) if isinstance(found, list) else 0


_SPLITS = ("train", "dev")
_REASONS = {"no_consent": "without consent", "incomplete": "without an answer or its prompt"}


def figures_of(metrics: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """(what, how much) of everything else that is known."""
    figures: list[tuple[str, Any]] = []
    if "best_step" in metrics:
        figures.append(("Best step", metrics["best_step"]))
    if rounds := rounds_of(metrics):
        figures.append(("Rounds that it is the mean of", rounds))
    share = _mapping(metrics.get("measured")).get("mean_share")
    if isinstance(share, int | float):
        figures.append(("Mean share of the gap, on invented users", f"{share:.0%}"))
    questions, left_out = _mapping(metrics.get("questions")), _mapping(metrics.get("left_out"))
    figures += [(f"Questions of {split}", questions[split]) for split in _SPLITS if split in questions]
    for split in _SPLITS:
        reasons = _mapping(left_out.get(split))
        figures += [
            (f"Left out of {split}, {words}", reasons[name]) for name, words in _REASONS.items() if reasons.get(name)
        ]
    return figures


def _mapping(told: Any) -> Mapping[str, Any]:
    return told if isinstance(told, Mapping) else {}
