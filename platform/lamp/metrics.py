"""The benchmark's metrics, of one sample and of a split (LaMP reference §7)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from lamp.problems import LampProblem, shown_ids
from lamp.rouge import rouge
from lamp.tasks import Kind, Rating, Task


def sample_scores(task: Task, prediction: str, gold: str) -> dict[str, float]:
    """What one prediction contributes to each of the task's metrics.

    accuracy: 1 or 0; MAE: the absolute error; RMSE: the *squared* error, of which a split's RMSE is the root of the
    mean; rouge-1, rouge-L: the F-measure. f1 is no mean over samples and is left out: see `macro_f1`.
    """
    prediction, gold = prediction.strip(), gold.strip()
    match task.kind:
        case Kind.CLASSIFICATION:
            return {"accuracy": float(prediction == gold)}
        case Kind.RATING:
            error = rating_error(prediction, gold, scale=task.rating)
            return {"MAE": error, "RMSE": error * error}
        case Kind.GENERATION:
            scores = rouge(prediction, gold)
            return {"rouge-1": scores.rouge_1, "rouge-L": scores.rouge_l}


def evaluate(task: Task, predictions: Mapping[str, str], golds: Mapping[str, str]) -> dict[str, float]:
    """The task's metrics over a split, in the catalogue's order; both mappings go from question id to text.

    Raises `LampProblem` unless every gold has its prediction and every prediction its gold.
    """
    require_same_ids(predictions, golds)
    samples = [sample_scores(task, predictions[question_id], gold) for question_id, gold in golds.items()]
    values: dict[str, float] = {}
    for metric in task.metrics:
        if metric.name == "f1":
            pairs = ((predictions[question_id], gold) for question_id, gold in golds.items())
            values["f1"] = macro_f1(pairs, labels=task.labels or ())
        else:
            values[metric.name] = mean_score(metric.name, (sample[metric.name] for sample in samples))
    return values


def mean_score(metric: str, samples: Iterable[float]) -> float:
    """A split's value of `metric` from its samples' scores: their mean, for RMSE the root of it."""
    scores = list(samples)
    mean = math.fsum(scores) / len(scores)
    return math.sqrt(mean) if metric == "RMSE" else mean


def rating_error(prediction: str, gold: str, *, scale: Rating | None) -> float:
    """|prediction - gold|; a prediction that is no finite number counts as the end of the scale farther from the gold.

    Where both ends are as far, as the upper one. A number so large that its squared error is not finite is none either.
    """
    low, high = (scale.lowest, scale.highest) if scale else (1, 5)
    wanted = float(gold)
    try:
        said = float(prediction)
    except ValueError:
        said = math.nan
    if not math.isfinite((said - wanted) * (said - wanted)):
        said = low if abs(wanted - low) > abs(wanted - high) else high
    return abs(said - wanted)


def macro_f1(pairs: Iterable[tuple[str, str]], *, labels: Iterable[str]) -> float:
    """Mean over all `labels` of each label's F1, from pairs of prediction and gold.

    A label that is neither predicted nor wanted scores 0; a prediction that is no label counts against its gold's label
    alone.
    """
    names = tuple(labels)
    hits, said, wanted = (dict.fromkeys(names, 0) for _ in range(3))
    for prediction, gold in ((prediction.strip(), gold.strip()) for prediction, gold in pairs):
        if prediction in said:
            said[prediction] += 1
            hits[prediction] += prediction == gold
        if gold in wanted:
            wanted[gold] += 1
    scores = [2 * hits[label] / both if (both := said[label] + wanted[label]) else 0.0 for label in hits]
    return float(np.mean(scores)) if scores else 0.0


def require_same_ids(predictions: Mapping[str, str], golds: Mapping[str, str]) -> None:
    """Raise `LampProblem` unless both have the same ids, and at least one."""
    if not golds:
        raise LampProblem(
            file="golds", message="there is none to score against", remedy="Give the outputs of the split"
        )
    without = [question_id for question_id in golds if question_id not in predictions]
    unknown = [question_id for question_id in predictions if question_id not in golds]
    if without:
        raise LampProblem(
            file="predictions",
            field="id",
            message=f"{len(without)} of {len(golds)} golds have no prediction: {shown_ids(without, len(without))}",
            remedy="Predict every question of the split",
        )
    if unknown:
        shown = shown_ids(unknown, len(unknown))
        raise LampProblem(
            file="predictions",
            field="id",
            message=f"{len(unknown)} of {len(predictions)} predictions have no gold: {shown}",
            remedy="Give the predictions of this split alone",
        )
