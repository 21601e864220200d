"""Macro F1 from counts that add up over users, so that swapping or resampling users needs no prediction to be read
again.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelCounts:
    """Per user and label (users, labels): correct predictions, predictions and golds of the label.

    A prediction that is no label of the task counts nowhere, and so is wrong (LaMP reference §7).
    """

    hits: Counts
    predictions: Counts
    golds: Counts


def count_labels(*, users: Counts, predicted: Counts, gold: Counts, user_count: int, label_count: int) -> LabelCounts:
    """Count from one entry a question: its user's and its labels' positions; a prediction of -1 is no label."""

    def counted(of_user: Counts, label: Counts) -> Counts:
        flat = np.bincount(of_user * label_count + label, minlength=user_count * label_count)
        return flat.reshape(user_count, label_count)

    known, right = predicted >= 0, predicted == gold
    return LabelCounts(
        hits=counted(users[right], gold[right]),
        predictions=counted(users[known], predicted[known]),
        golds=counted(users, gold),
    )


def macro_f1(hits: npt.ArrayLike, predictions: npt.ArrayLike, golds: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Mean over all labels (the last axis) of 2·hits / (predictions + golds); a label that nobody predicts or has
    counts as 0.
    """
    hits, either = np.asarray(hits, dtype=np.float64), np.add(predictions, golds, dtype=np.float64)
    f1 = np.divide(2 * hits, either, out=np.zeros(np.broadcast(hits, either).shape), where=either > 0)
    return f1.mean(axis=-1)
