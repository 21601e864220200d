"""What choosing among retrievers can gain on a set of questions, and how much of it a selector got.

A selector (RSPG, LaMP reference §3) chooses one member of its pool for each question. Two figures bound what that is
worth, both from the members' own answers to the same questions:

- the *best single* member, by the metric's mean over these questions: what no choosing at all reaches. It is picked on
  the very questions that it is measured on, which favours it over the selector;
- the *pool's oracle*, which takes for each question the member whose answer scores best in the metric: nothing that
  chooses among these answers is better. It knows the golds, so nobody reaches it.

The share of the gap is (selector − best single) / (oracle − best single), with the sign turned for errors. Macro F1 is
left out: no single answer has one, so there is no best member of a question. For RMSE the squared errors of the
questions are compared, as everywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from eval_app.comparison import differences_p
from eval_app.improvement import SAME, DifferentQuestions
from eval_app.scoring import F1, Floats, Positions, RunScores
from eval_app.significance import DRAWS
from lamp.metrics import mean_score
from lamp.tasks import Task


@dataclass(frozen=True)
class SampleValues:
    """What is needed of a run here: no text of it, so that a whole pool's fit into memory side by side.

    `by_metric` has a value of every question, in the order of `RunScores.samples`; `user_of` is as there.
    """

    task: Task
    question_set: str
    user_of: Positions
    by_metric: Mapping[str, Floats]

    @classmethod
    def of(cls, run: RunScores) -> "SampleValues":
        """Macro F1, which no question has, is left out."""
        names = [metric.name for metric in run.task.metrics if metric.name != F1]
        return cls(run.task, run.question_set, run.user_of, {name: run.sample_values(name) for name in names})


@dataclass(frozen=True, slots=True)
class MetricBounds:
    """A metric of the selector between its bounds.

    `best` is the best single member; of equals the first of the pool. `share` is None where the oracle is no better
    than it: then there is nothing to gain. `p_value` is of the selector against the best single member, two-sided,
    paired over users.
    """

    best: str
    best_value: float
    oracle: float
    value: float
    share: float | None
    p_value: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a run that chooses got, by metric, and how often it chose each member of its pool (in the pool's order).

    `metrics` is empty where it cannot be held against its pool, and `reason` then says why.
    """

    chosen: Mapping[str, int]
    metrics: Mapping[str, MetricBounds]
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a JSON column; `from_dict` reads them back."""
        # An object in the database does not keep its order, and the pool's is part of what is said.
        return {**asdict(self), "chosen": [[name, count] for name, count in self.chosen.items()]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Bounds":
        return cls(
            chosen=dict(data["chosen"]),
            metrics={name: MetricBounds(**values) for name, values in data["metrics"].items()},
            reason=data["reason"],
        )


def metric_bounds(
    selecting: SampleValues, members: Mapping[str, SampleValues], *, seed: int = 0, draws: int = DRAWS
) -> dict[str, MetricBounds]:
    """Each metric of a selector's run between the bounds that its pool's own runs set.

    `members` are by name, in the pool's order. Raises `DifferentQuestions` where one answered other questions, and
    ValueError without members.
    """
    if not members:
        raise ValueError("a pool has members")
    if any(member.question_set != selecting.question_set for member in members.values()):
        raise DifferentQuestions("a member of the pool answered other questions than the run that chooses")
    return {
        metric.name: _bounds(
            metric.name,
            selecting,
            {name: member.by_metric[metric.name] for name, member in members.items()},
            sign=1 if metric.higher_is_better else -1,
            seed=seed,
            draws=draws,
        )
        for metric in selecting.task.metrics
        if metric.name in selecting.by_metric
    }


def _bounds(
    metric: str, selecting: SampleValues, members: Mapping[str, Floats], *, sign: int, seed: int, draws: int
) -> MetricBounds:
    means = {name: mean_score(metric, values) for name, values in members.items()}
    # Equal but for the order of a sum is equal.
    highest = max(sign * mean for mean in means.values())
    best = next(name for name, mean in means.items() if sign * mean >= highest - SAME)
    own = selecting.by_metric[metric]
    value, oracle = mean_score(metric, own), mean_score(metric, _best_of_each(list(members.values()), sign=sign))
    possible, reached = sign * (oracle - means[best]), sign * (value - means[best])
    reached = 0.0 if abs(reached) <= SAME else reached
    return MetricBounds(
        best=best,
        best_value=means[best],
        oracle=oracle,
        value=value,
        share=reached / possible if possible > SAME else None,
        p_value=differences_p(_by_user(own - members[best], selecting.user_of), seed=seed, draws=draws),
    )


def _best_of_each(values: Sequence[Floats], *, sign: int) -> Floats:
    best: Floats = sign * np.max([sign * one for one in values], axis=0)
    return best


def _by_user(values: Floats, user_of: Positions) -> Floats:
    """Of every user, the mean over their questions."""
    sums: Floats = np.bincount(user_of, weights=values) / np.bincount(user_of)
    return sums
