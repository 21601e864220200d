"""What the metrics of a trained model say of it, for its pages. What is not there is left out, and nothing fails.

A selector's are, by task of the dev split, the mean utility (`lamp.utility`: 0 to 1, higher is better, of any metric)
of what it chooses, of each member of its pool by itself, and of the best member of each question.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from retrieval_app.retrievers import POOL_TITLES


@dataclass(frozen=True)
class DevResult:
    """A task of the dev split: the selector's mean utility, the best single member's with its title, the oracle's.

    `share` is how much of what is possible the selector gets: 0 at the best single member, 1 at the oracle; None where
    the oracle is no better than it.
    """

    task: str
    questions: int
    value: float
    best_single: float
    best_title: str
    oracle: float
    members: tuple[tuple[str, float | None], ...] = ()

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
    found = []
    for task, told in sorted(_mapping(metrics.get("dev")).items()):
        told = _mapping(told)
        members = _mapping(told.get("members"))
        if members.keys().isdisjoint(pool) or "selector" not in told or "oracle" not in told:
            continue
        # An object of the database does not keep its order.
        ordered = [(POOL_TITLES.get(name, name), members.get(name)) for name in pool]
        best, best_single = max(
            ((title, value) for title, value in ordered if value is not None), key=lambda one: one[1]
        )
        questions = int(told.get("questions", 0))
        found.append(
            DevResult(task, questions, told["selector"], best_single, best, told["oracle"], members=tuple(ordered))
        )
    return found


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


_REASONS = {"no_consent": "of users who may not be learned from", "incomplete": "without an answer or its prompt"}


def figures_of(metrics: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """(what, how much) of everything else that is known."""
    figures: list[tuple[str, Any]] = []
    if "best_step" in metrics:
        figures.append(("Best step", metrics["best_step"]))
    for split, count in _mapping(metrics.get("questions")).items():
        figures.append((f"Questions of {split}", count))
    for split, reasons in _mapping(metrics.get("left_out")).items():
        for reason, count in _mapping(reasons).items():
            if count:
                figures.append((f"Left out of {split}, {_REASONS.get(reason, reason)}", count))
    return figures


def _mapping(told: Any) -> Mapping[str, Any]:
    return told if isinstance(told, Mapping) else {}
