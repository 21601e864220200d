import numpy as np
import pytest
from scipy import stats

from eval_app.regression import UserPoint, mean_profile_size, regress


def points(pairs):
    return [UserPoint(size, direction) for size, direction in pairs]


def test_a_line_by_hand():
    # Through (10, -1), (20, 1), (30, 1): mean size 20, mean direction 1/3, sxy = 20, sxx = 200.
    line = regress(points([(10, -1), (20, 1), (30, 1)]))
    assert line.n == 3
    assert line.slope == pytest.approx(0.1)
    assert line.intercept == pytest.approx(1 / 3 - 2)
    assert line.correlation == pytest.approx(20 / np.sqrt(200 * 8 / 3))


def test_everything_is_scipys_on_many_users():
    generator = np.random.default_rng(2)
    sizes = generator.integers(5, 300, 200)
    directions = np.where(generator.random(200) < 0.3 + sizes / 600, 1, -1)
    line = regress(points(zip(sizes, directions, strict=True)))
    theirs = stats.linregress(sizes, directions)
    assert (line.slope, line.intercept, line.correlation, line.p_value) == pytest.approx(
        (theirs.slope, theirs.intercept, theirs.rvalue, theirs.pvalue)
    )
    reach = stats.t.ppf(0.975, 198) * theirs.stderr
    assert line.slope_interval == pytest.approx((theirs.slope - reach, theirs.slope + reach))
    # At size 0 the band is the interval of the intercept.
    band = line.band([0.0])
    reach = stats.t.ppf(0.975, 198) * theirs.intercept_stderr
    assert (band.low[0], band.high[0]) == pytest.approx((theirs.intercept - reach, theirs.intercept + reach))


def test_the_band_is_narrowest_in_the_middle():
    line = regress(points([(10, -1), (20, 1), (30, -1), (40, 1)]))
    band = line.band([10, 25, 40])
    widths = band.high - band.low
    assert widths[1] < widths[0] == pytest.approx(widths[2])
    assert band.line == pytest.approx(line.intercept + line.slope * np.array([10, 25, 40]))


def test_users_without_change_are_left_out():
    some = [(10, -1), (20, 1), (30, 1), (60, -1)]
    assert regress(points([*some, (500, 0), (1, 0)])) == regress(points(some))


@pytest.mark.parametrize("few", [[], [(10, 1)], [(10, 1), (99, 0)], [(10, 1), (10, -1), (10, 1)]])
def test_without_two_sizes_there_is_no_line(few):
    assert regress(points(few)) is None


def test_two_users_give_a_line_and_no_interval():
    line = regress(points([(10, -1), (20, 1)]))
    assert (line.slope, line.n) == (pytest.approx(0.2), 2)
    assert line.slope_interval is line.p_value is line.band([10]) is None


def test_where_everybody_improved_the_line_is_level_and_nothing_correlates():
    line = regress(points([(10, 1), (20, 1), (35, 1)]))
    assert line.slope == 0
    assert line.intercept == 1
    assert line.correlation is line.p_value is None
    assert line.slope_interval == (0, 0)


def test_the_profile_size_of_a_user_is_the_mean_over_their_snapshots():
    assert mean_profile_size([10, 12, 20]) == 14
