"""The training loss of a run's adapters as one curve: the mean over users and where most of them lie, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from eval_app.models import Prediction, Run
from training_app.models import Adapter
from users_app.models import Workspace

ADAPTERS_MOST: Final = 100
VALUES_MOST: Final = 200_000
POINTS_MOST: Final = 200
BAND: Final = (10, 90)
"""Percentiles of the users' losses between which the band lies."""


@dataclass(frozen=True)
class LossCurve:
    """By optimizer step (from 1): the mean, the band's ends, and how many adapters have trained so long.

    `adapters` of those of the run were read.
    """

    steps: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]
    counts: list[int]
    adapters: int


def aggregate(curves: Sequence[Sequence[float]], *, points: int = POINTS_MOST) -> LossCurve | None:
    """One curve of several, at `points` steps at most, the first and the last among them. None where there is none.

    A curve that ended earlier counts no longer: nothing is made up for it.

    >>> aggregate([[4.0, 2.0], [2.0]])
    LossCurve(steps=[1, 2], mean=[3.0, 2.0], low=[2.2, 2.0], high=[3.8, 2.0], counts=[2, 1], adapters=2)
    """
    drawn = [np.asarray(curve, dtype=np.float64) for curve in curves if len(curve)]
    if not drawn:
        return None
    longest = max(len(curve) for curve in drawn)
    at = np.unique(np.linspace(0, longest - 1, min(points, longest)).round().astype(int))
    steps, mean, low, high, counts = [], [], [], [], []
    for index in at.tolist():
        values = np.array([curve[index] for curve in drawn if len(curve) > index and np.isfinite(curve[index])])
        if not len(values):
            continue
        steps.append(index + 1)
        mean.append(float(values.mean()))
        low.append(float(np.percentile(values, BAND[0])))
        high.append(float(np.percentile(values, BAND[1])))
        counts.append(len(values))
    return LossCurve(steps, mean, low, high, counts, len(drawn))


def loss_curve(*, workspace: Workspace, run: Run) -> LossCurve | None:
    """The curve of the adapters with which the run's first questions were answered; None where there is none yet.

    At most `ADAPTERS_MOST` adapters and `VALUES_MOST` values are read.
    """
    if run.rank is None:
        return None
    first = (
        Prediction.objects.filter(run=run, run__workspace=workspace, adapter__isnull=False)
        .order_by("question_id")
        .values_list("adapter_id", flat=True)[: 4 * ADAPTERS_MOST]
    )
    ids = list(dict.fromkeys(first))[:ADAPTERS_MOST]
    own = Adapter.objects.filter(pk__in=ids, end_user__workspace=workspace).order_by("pk")
    read: list[int] = []
    values = 0
    for pk, steps in own.values_list("pk", "steps"):
        values += steps
        if read and values > VALUES_MOST:
            break
        read.append(pk)
    return aggregate(list(Adapter.objects.filter(pk__in=read).order_by("pk").values_list("loss_curve", flat=True)))
