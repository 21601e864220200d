"""One run held against a baseline's run on the same questions."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from eval_app.improvement import SAME, relative_gain, require_same_questions, user_improvements, win_tie_loss
from eval_app.scoring import F1, Floats, RunScores
from eval_app.significance import DRAWS, macro_f1_swap_p, sign_flip_p


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """A metric of both sides.

    `delta` is value − baseline as it stands; `relative_gain` is positive where better, None over zero.
    """

    baseline: float
    value: float
    delta: float
    relative_gain: float | None
    p_value: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison by metric, and the users who won, tied and lost by the primary metric."""

    users: int
    metrics: Mapping[str, MetricComparison]
    wins: int
    ties: int
    losses: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a JSON column; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Comparison":
        compared = {name: MetricComparison(**values) for name, values in data["metrics"].items()}
        return cls(**{**data, "metrics": compared})


def compare(baseline: RunScores, other: RunScores, *, seed: int = 0, draws: int = DRAWS) -> Comparison:
    """Compare two runs in every metric of their task, p-values paired over users. Raises `DifferentQuestions`."""
    require_same_questions(baseline, other)
    compared = {}
    for metric in baseline.task.metrics:
        before, after = baseline.values[metric.name], other.values[metric.name]
        compared[metric.name] = MetricComparison(
            baseline=before,
            value=after,
            delta=after - before,
            relative_gain=relative_gain(after, before, higher_is_better=metric.higher_is_better),
            p_value=paired_p(baseline, other, metric.name, seed=seed, draws=draws),
        )
    counted = win_tie_loss(user_improvements(baseline, other))
    return Comparison(
        users=len(baseline.end_users),
        metrics=compared,
        wins=counted.wins,
        ties=counted.ties,
        losses=counted.losses,
    )


def paired_p(baseline: RunScores, other: RunScores, metric: str, *, seed: int = 0, draws: int = DRAWS) -> float:
    """The two-sided paired p-value of one metric over users (see `significance`). Raises `DifferentQuestions`."""
    require_same_questions(baseline, other)
    if metric == F1:
        return macro_f1_swap_p(baseline.label_counts, other.label_counts, seed=seed, draws=draws)
    return differences_p(other.user_means(metric) - baseline.user_means(metric), seed=seed, draws=draws)


def differences_p(differences: Floats, *, seed: int = 0, draws: int = DRAWS) -> float:
    """The two-sided p-value of users' differences, one a user; what the order of a sum changes is no difference."""
    return sign_flip_p(np.where(np.abs(differences) <= SAME, 0.0, differences), seed=seed, draws=draws)
