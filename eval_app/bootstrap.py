"""Seeded bootstrap intervals of a split's metrics (LaMP reference §7).

Users are drawn with replacement, each with all of their questions: questions of one user are no independent witnesses.
Where every question is its own user, as in the user-based split, this is the plain bootstrap over samples.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DRAWS = 1000
LEVEL = 0.95
_PICKS_AT_ONCE = 1 << 21


class Interval(NamedTuple):
    low: float
    high: float


def bootstrap_interval(
    sums: npt.ArrayLike,
    statistic: Callable[[Floats], Floats],
    *,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """The percentile interval of a statistic that depends on sums over users.

    `sums` has a row a user; `statistic` takes the summed rows of every draw (draws, columns) and gives one number each.
    For a mean these are the sum of the scores and their count. Raises ValueError without a user.
    """
    rows = np.asarray(sums, dtype=np.float64)
    if rows.ndim != 2 or not len(rows):
        raise ValueError("a bootstrap needs one row a user, of one user at least")
    if draws < 1 or not 0 < level < 1:
        raise ValueError("a bootstrap needs one draw at least, and a level between 0 and 1")
    users = len(rows)
    generator = np.random.default_rng(seed)
    block = max(1, _PICKS_AT_ONCE // users)
    found: list[Floats] = []
    for start in range(0, draws, block):
        size = min(block, draws - start)
        picks = generator.integers(users, size=(size, users)) + users * np.arange(size)[:, None]
        times = np.bincount(picks.ravel(), minlength=size * users).reshape(size, users).astype(np.float64)
        found.append(statistic(times @ rows))
    low, high = np.quantile(np.concatenate(found), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def mean_interval(values: npt.ArrayLike, *, seed: int = 0, draws: int = DRAWS, level: float = LEVEL) -> Interval:
    """The interval of the mean of independent values."""
    column = np.asarray(values, dtype=np.float64)
    sums = np.column_stack([column, np.ones_like(column)])
    return bootstrap_interval(sums, lambda total: total[:, 0] / total[:, 1], seed=seed, draws=draws, level=level)
