"""From a run's predictions to scores: per sample, per user, per split.

Everything is kept in one order, questions by id and users by id, so that results do not depend on the order in which
rows arrive.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from eval_app.bootstrap import DRAWS, LEVEL, Interval, bootstrap_interval
from eval_app.label_counts import LabelCounts, count_labels, macro_f1
from lamp import metrics
from lamp.tasks import Task

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]
EndUser = str | int

RMSE = "RMSE"
F1 = "f1"


@dataclass(frozen=True, slots=True)
class Sample:
    """One question's answer: who asked, what was predicted, what was right."""

    question_id: str
    end_user: EndUser
    prediction: str
    gold: str


@dataclass(frozen=True, slots=True)
class ScoredSample:
    """A sample with its scores by metric: accuracy 0 or 1, the absolute error as MAE, the *squared* error as RMSE,
    ROUGE's F-measures.
    """

    sample: Sample
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class UserScore:
    """What a user's questions in the split scored: means, for RMSE the root of the mean squared error.

    Macro F1 has no value a user.
    """

    end_user: EndUser
    questions: int
    values: Mapping[str, float]


def score_sample(task: Task, sample: Sample) -> ScoredSample:
    return ScoredSample(sample, metrics.sample_scores(task, sample.prediction, sample.gold))


def score_run(task: Task, samples: Iterable[Sample]) -> "RunScores":
    """Score every sample and collect them. Raises ValueError as `RunScores.of` does."""
    return RunScores.of(task, [score_sample(task, sample) for sample in samples])


@dataclass(frozen=True)
class RunScores:
    """The scores of one run on one split of a task. Build it with `of`, from scores just made or recorded earlier."""

    task: Task
    samples: Sequence[ScoredSample]
    end_users: Sequence[EndUser]
    user_of: Positions = field(repr=False)
    """Of every sample, the position of its user in `end_users`."""

    @classmethod
    def of(cls, task: Task, scored: Iterable[ScoredSample]) -> "RunScores":
        """Raises ValueError where there is no sample or a question comes twice."""
        ordered = sorted(scored, key=lambda one: one.sample.question_id)
        if not ordered:
            raise ValueError("a run without a sample has no score")
        for one, following in pairwise(ordered):
            if one.sample.question_id == following.sample.question_id:
                raise ValueError(f"question {one.sample.question_id!r} is answered twice in one run")
        end_users = sorted({one.sample.end_user for one in ordered}, key=lambda user: (isinstance(user, str), user))
        position = {user: at for at, user in enumerate(end_users)}
        user_of = np.array([position[one.sample.end_user] for one in ordered], dtype=np.int64)
        return cls(task=task, samples=ordered, end_users=end_users, user_of=user_of)

    @property
    def n(self) -> int:
        """How many questions were answered."""
        return len(self.samples)

    @cached_property
    def question_set(self) -> str:
        """A digest of the questions, whose they are and their golds: only runs that agree in it can be compared."""
        digest = hashlib.sha256()
        for one in self.samples:
            parts = (one.sample.question_id, str(one.sample.end_user), one.sample.gold.strip())
            digest.update("".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    @cached_property
    def values(self) -> dict[str, float]:
        """The metrics of the split, by the names of the task's metrics, over all questions."""
        return {metric.name: self._value(metric.name) for metric in self.task.metrics}

    def _value(self, metric: str) -> float:
        if metric == F1:
            pairs = ((one.sample.prediction, one.sample.gold) for one in self.samples)
            return metrics.macro_f1(pairs, labels=self.task.labels or ())
        return metrics.mean_score(metric, (one.scores[metric] for one in self.samples))

    def sample_values(self, metric: str) -> Floats:
        """A metric's value of every sample, in order; squared errors for RMSE.

        Raises KeyError for macro F1, which no sample has.
        """
        return np.array([one.scores[metric] for one in self.samples], dtype=np.float64)

    @cached_property
    def questions_per_user(self) -> Positions:
        return np.bincount(self.user_of, minlength=len(self.end_users))

    def user_sums(self, metric: str) -> Floats:
        """Of every user, the sum of the sample values of their questions."""
        sums = np.bincount(self.user_of, weights=self.sample_values(metric), minlength=len(self.end_users))
        return sums.astype(np.float64)

    def user_means(self, metric: str) -> Floats:
        """Of every user, the mean of the sample values of their questions: mean squared errors for RMSE."""
        return self.user_sums(metric) / self.questions_per_user

    def user_scores(self) -> list[UserScore]:
        """Every user's score in every metric that a user can have."""
        means = {metric.name: self.user_means(metric.name) for metric in self.task.metrics if metric.name != F1}
        return [
            UserScore(
                end_user=user,
                questions=int(self.questions_per_user[at]),
                values={name: math.sqrt(mean[at]) if name == RMSE else float(mean[at]) for name, mean in means.items()},
            )
            for at, user in enumerate(self.end_users)
        ]

    @cached_property
    def label_counts(self) -> LabelCounts:
        """Correct predictions, predictions and golds by user and label.

        Raises ValueError where a gold is no label of the task.
        """
        labels = self.task.labels or ()
        position = {label: at for at, label in enumerate(labels)}
        golds = [position.get(one.sample.gold.strip(), -1) for one in self.samples]
        if -1 in golds:
            question = self.samples[golds.index(-1)].sample.question_id
            raise ValueError(f"the gold of question {question!r} is no label of {self.task.key}")
        return count_labels(
            users=self.user_of,
            predicted=np.array(
                [position.get(one.sample.prediction.strip(), -1) for one in self.samples], dtype=np.int64
            ),
            gold=np.array(golds, dtype=np.int64),
            user_count=len(self.end_users),
            label_count=len(labels),
        )

    def interval(self, metric: str, *, seed: int = 0, draws: int = DRAWS, level: float = LEVEL) -> Interval:
        """The bootstrap interval of a metric's value, users drawn with all of their questions."""
        if metric == F1:
            counts = self.label_counts
            width = counts.hits.shape[1]
            sums = np.concatenate([counts.hits, counts.predictions, counts.golds], axis=1)

            def statistic(total: Floats) -> Floats:
                return macro_f1(total[:, :width], total[:, width : 2 * width], total[:, 2 * width :])

        else:
            sums = np.column_stack([self.user_sums(metric), self.questions_per_user])

            def statistic(total: Floats) -> Floats:
                mean = total[:, 0] / total[:, 1]
                return np.sqrt(mean) if metric == RMSE else mean

        return bootstrap_interval(sums, statistic, seed=seed, draws=draws, level=level)
