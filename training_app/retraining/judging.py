"""Whether a new adapter is good enough to serve, from what it, the old one and none scored on documents held out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Candidate(StrEnum):
    """What could answer for a user. In the order in which equals are preferred."""

    TRIAL = "trial"
    OLD = "old"
    NONE = "none"


@dataclass(frozen=True)
class Judgement:
    """Who won, and each candidate's mean in the metric itself."""

    winner: Candidate
    means: Mapping[Candidate, float]


def judge(scores: Mapping[Candidate, Sequence[float]], *, higher_is_better: bool) -> Judgement:
    """The trial where it is not worse than the better of the others, else the old adapter where it is not worse than
    none, else none.

    `scores` has each candidate's metric on the same documents; `OLD` is left out where there is no old adapter, or
    where it may serve no longer.

    Raises ValueError: no documents, a different number for some candidate, or no trial or none among them.

    >>> judge({Candidate.TRIAL: [1.0, 0.0], Candidate.NONE: [0.0, 0.0]}, higher_is_better=True).winner
    <Candidate.TRIAL: 'trial'>
    """
    counts = {len(values) for values in scores.values()}
    if len(counts) != 1 or counts == {0} or not {Candidate.TRIAL, Candidate.NONE} <= scores.keys():
        raise ValueError("trial and none are measured, on the same documents, at least one")
    means = {
        candidate: sum(scores[candidate]) / len(scores[candidate]) for candidate in Candidate if candidate in scores
    }
    sign = 1.0 if higher_is_better else -1.0
    # max takes the first of equals.
    return Judgement(winner=max(means, key=lambda candidate: sign * means[candidate]), means=means)
