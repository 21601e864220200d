"""Figure 1 of the paper: does personalization help users with large profiles more? (LaMP reference §7)

The direction of each user's improvement, +1 or −1, is regressed on the size of the user's profile; users without change
are left out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from eval_app.bootstrap import LEVEL, Interval

Floats = npt.NDArray[np.float64]


class UserPoint(NamedTuple):
    """One user: the mean size of their profile over their questions, and how their score moved (+1, 0, −1)."""

    profile_size: float
    direction: int


class Band(NamedTuple):
    """The line and the interval of its height, at given profile sizes."""

    line: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Regression:
    """An ordinary least-squares line through `n` users.

    `correlation` is None where no user differs in direction, `slope_interval` where the points leave no room for error
    (n < 3).
    """

    n: int
    slope: float
    intercept: float
    correlation: float | None
    p_value: float | None
    slope_interval: Interval | None
    level: float
    mean_size: float
    size_squares: float
    residual_variance: float | None

    def band(self, sizes: npt.ArrayLike) -> Band | None:
        """The line with the confidence interval of the mean response, to be drawn as the figure's band;

        None as `slope_interval` is.
        """
        if self.residual_variance is None:
            return None
        at = np.asarray(sizes, dtype=np.float64)
        line = self.intercept + self.slope * at
        error = np.sqrt(self.residual_variance * (1 / self.n + (at - self.mean_size) ** 2 / self.size_squares))
        reach = _quantile(self.level, self.n) * error
        return Band(line, line - reach, line + reach)


def mean_profile_size(sizes: Sequence[int]) -> float:
    """The profile size of a user with several questions: the mean over their snapshots."""
    return sum(sizes) / len(sizes)


def regress(points: Sequence[UserPoint], *, level: float = LEVEL) -> Regression | None:
    """Regress direction on profile size;

    None where no line is defined: fewer than two users changed, or all have one profile size.
    """
    changed = [point for point in points if point.direction]
    sizes = np.array([point.profile_size for point in changed], dtype=np.float64)
    directions = np.array([point.direction for point in changed], dtype=np.float64)
    n = len(changed)
    if n < 2 or np.ptp(sizes) == 0:
        return None
    fit = stats.linregress(sizes, directions)
    slope, intercept = float(fit.slope), float(fit.intercept)
    squares = float(((sizes - sizes.mean()) ** 2).sum())
    residuals = directions - (intercept + slope * sizes)
    variance = float(residuals @ residuals) / (n - 2) if n > 2 else None
    interval = None
    if variance is not None:
        reach = _quantile(level, n) * math.sqrt(variance / squares)
        interval = Interval(slope - reach, slope + reach)
    correlates = np.ptp(directions) > 0
    return Regression(
        n=n,
        slope=slope,
        intercept=intercept,
        correlation=float(fit.rvalue) if correlates else None,
        p_value=float(fit.pvalue) if correlates and n > 2 else None,
        slope_interval=interval,
        level=level,
        mean_size=float(sizes.mean()),
        size_squares=squares,
        residual_variance=variance,
    )


def _quantile(level: float, n: int) -> float:
    return float(stats.t.ppf((1 + level) / 2, n - 2))
