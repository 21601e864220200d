"""What personalization changed: for each user, and relative to a baseline.

Every number here is read by the metric's direction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from eval_app.scoring import EndUser, RunScores

SAME = 1e-12
"""Scores that are closer are equal: it is above what the order of a floating-point sum changes, and below what one
sample can.
"""


class DifferentQuestions(ValueError):
    """Two runs did not answer the same questions of the same users with the same golds, so nothing between them can be
    paired.
    """


class Direction(IntEnum):
    """How a user's score moved. Figure 1 of the paper puts these on its vertical axis."""

    WORSE = -1
    SAME = 0
    BETTER = 1


@dataclass(frozen=True, slots=True)
class UserImprovement:
    """One user's primary metric without and with personalization. `gain` is positive where it got better."""

    end_user: EndUser
    questions: int
    baseline: float
    personalized: float
    gain: float
    direction: Direction


@dataclass(frozen=True, slots=True)
class WinTieLoss:
    """Users whose primary metric got better, stayed the same, got worse."""

    wins: int
    ties: int
    losses: int


def direction_of(baseline: float, personalized: float, *, higher_is_better: bool) -> Direction:
    """How a score moved, by the metric's direction."""
    difference = personalized - baseline if higher_is_better else baseline - personalized
    if abs(difference) <= SAME:
        return Direction.SAME
    return Direction.BETTER if difference > 0 else Direction.WORSE


def relative_gain(value: float, baseline: float, *, higher_is_better: bool) -> float | None:
    """The gain as a part of the baseline, positive where better;

    None over a baseline of zero, where it has no meaning.
    """
    if baseline == 0:
        return None
    gain = value - baseline if higher_is_better else baseline - value
    return gain / abs(baseline)


def require_same_questions(baseline: RunScores, personalized: RunScores) -> None:
    """Raises `DifferentQuestions` unless the two runs can be paired."""
    if baseline.task.key != personalized.task.key or baseline.question_set != personalized.question_set:
        raise DifferentQuestions(
            f"runs of {baseline.n} and {personalized.n} questions are not over the same questions, users and golds"
        )


def user_improvements(baseline: RunScores, personalized: RunScores) -> list[UserImprovement]:
    """Of every user, how the primary metric moved from the baseline's run to the personalized one.

    Raises `DifferentQuestions`.
    """
    require_same_questions(baseline, personalized)
    metric = baseline.task.primary_metric
    before, after = baseline.user_means(metric.name), personalized.user_means(metric.name)
    return [
        UserImprovement(
            end_user=user,
            questions=int(baseline.questions_per_user[at]),
            baseline=float(before[at]),
            personalized=float(after[at]),
            gain=float(after[at] - before[at]) if metric.higher_is_better else float(before[at] - after[at]),
            direction=direction_of(before[at], after[at], higher_is_better=metric.higher_is_better),
        )
        for at, user in enumerate(baseline.end_users)
    ]


def win_tie_loss(improvements: Iterable[UserImprovement]) -> WinTieLoss:
    """Count the users by direction."""
    directions: Sequence[Direction] = [one.direction for one in improvements]
    return WinTieLoss(
        wins=directions.count(Direction.BETTER),
        ties=directions.count(Direction.SAME),
        losses=directions.count(Direction.WORSE),
    )
