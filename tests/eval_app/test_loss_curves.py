"""Many training losses as one curve."""

from eval_app.loss_curves import POINTS_MOST, aggregate


def test_the_mean_and_the_band_are_of_those_who_train_so_long():
    curve = aggregate([[4.0, 2.0, 1.0], [2.0, 1.0]])
    assert (curve.steps, curve.mean, curve.counts, curve.adapters) == ([1, 2, 3], [3.0, 1.5, 1.0], [2, 2, 1], 2)


def test_one_adapter_is_its_own_band():
    curve = aggregate([[4.0, 2.0]])
    assert curve.low == curve.mean == curve.high == [4.0, 2.0]


def test_long_ones_are_thinned_with_their_ends_kept():
    curve = aggregate([[float(step) for step in range(10_000)]])
    assert len(curve.steps) <= POINTS_MOST
    assert (curve.steps[0], curve.steps[-1]) == (1, 10_000)
    assert curve.mean == [step - 1 for step in curve.steps]


def test_what_is_no_number_counts_for_nothing():
    curve = aggregate([[float("nan"), 1.0], [2.0, float("inf")]])
    assert (curve.mean, curve.counts) == ([2.0, 1.0], [1, 1])


def test_where_nothing_was_trained_there_is_none():
    assert aggregate([]) is None
    assert aggregate([[]]) is None
