import numpy as np
import pytest
from scipy import stats

from eval_app.bootstrap import bootstrap_interval, mean_interval


def test_the_interval_of_a_mean_is_scipys_up_to_the_draws():
    values = np.random.default_rng(4).gamma(2.0, size=80)
    ours = mean_interval(values, draws=20_000)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", random_state=np.random.default_rng(0)
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.02)
    assert ours.low < values.mean() < ours.high


def test_a_seed_repeats_its_interval():
    values = np.random.default_rng(4).normal(size=50)
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)


def test_the_block_size_does_not_show(monkeypatch):
    values = np.random.default_rng(4).normal(size=50)
    whole = mean_interval(values)
    monkeypatch.setattr("eval_app.bootstrap._PICKS_AT_ONCE", 50 * 7)
    assert mean_interval(values) == whole


def test_values_without_spread_have_an_interval_without_width():
    assert mean_interval([0.25] * 10) == (0.25, 0.25)


def test_users_are_drawn_with_all_of_their_questions():
    # Ten users of ten equal questions each are ten witnesses, not a hundred.
    scores = np.array([0.0, 1.0] * 5)
    clustered = bootstrap_interval(np.column_stack([scores * 10, np.full(10, 10)]), lambda s: s[:, 0] / s[:, 1])
    independent = mean_interval(np.repeat(scores, 10))
    assert clustered.high - clustered.low > 2 * (independent.high - independent.low)


def test_a_higher_level_is_wider():
    values = np.random.default_rng(4).normal(size=50)
    narrow, wide = mean_interval(values, level=0.5), mean_interval(values, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"level": 1.0}, {"level": 0.0}])
def test_settings_without_a_meaning_are_refused(wrong):
    with pytest.raises(ValueError):
        mean_interval([1.0, 2.0], **wrong)


def test_nobody_has_no_interval():
    with pytest.raises(ValueError, match="one user"):
        mean_interval([])
