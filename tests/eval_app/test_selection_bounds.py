import json

import numpy as np
import pytest

from eval_app.improvement import DifferentQuestions
from eval_app.selection_bounds import Bounds, MetricBounds, SampleValues, metric_bounds
from tests.eval_app.runs import answers

GOLDS = ["5", "1", "3", "4"]


def values(task, golds, predictions, users=None):
    return SampleValues.of(answers(task, golds, predictions, users))


def ratings(*predictions, users=None):
    return values("LaMP-3", GOLDS, predictions, users)


@pytest.fixture
def pool():
    """Errors of none: 2 0 1 3, mean 1.5; of bm25: 0 3 1 0, mean 1; of recency: 1 1 2 2, mean 1.5."""
    return {
        "none": ratings("3", "1", "2", "1"),
        "bm25": ratings("5", "4", "4", "4"),
        "recency": ratings("4", "2", "5", "2"),
    }


def test_errors_are_bounded_by_hand(pool):
    # Who chooses bm25, recency, none, bm25 has errors 0 1 1 0; the oracle takes 0 0 1 0.
    found = metric_bounds(ratings("5", "2", "2", "4"), pool)["MAE"]
    assert (found.best, found.best_value, found.oracle, found.value) == ("bm25", 1.0, 0.25, 0.5)
    # Of the 0.75 that is possible 0.5 was got.
    assert found.share == pytest.approx(2 / 3)


def test_the_test_is_the_paired_one_against_the_best_single_member(pool):
    # One of four users differs, and as it is or turned round the mean is as far from zero.
    assert metric_bounds(ratings("5", "2", "2", "4"), pool)["MAE"].p_value == 1.0
    golds = ["[1]"] * 12
    members = {"a": values("LaMP-1", golds, ["[2]"] * 12), "b": values("LaMP-1", golds, ["[1]"] * 12)}
    worse = metric_bounds(members["a"], members)["accuracy"]
    assert worse.p_value == 2 / 2**12


def test_of_a_root_of_squares_the_oracle_takes_the_least_squares(pool):
    found = metric_bounds(ratings("5", "2", "2", "4"), pool)["RMSE"]
    # Squared errors of bm25: 0 9 1 0. Of none 4 0 1 9, of recency 1 1 4 4: equal means are those of bm25 and recency.
    assert (found.best, found.best_value) == ("bm25", pytest.approx(np.sqrt(2.5)))
    assert found.oracle == pytest.approx(np.sqrt(0.25))
    assert found.value == pytest.approx(np.sqrt(0.5))
    assert found.share == pytest.approx((np.sqrt(2.5) - np.sqrt(0.5)) / (np.sqrt(2.5) - np.sqrt(0.25)))


def test_where_more_is_better_the_share_has_its_sign():
    golds = ["[1]", "[1]", "[1]", "[1]"]
    pool = {
        "none": values("LaMP-1", golds, ["[1]", "[2]", "[2]", "[2]"]),
        "bm25": values("LaMP-1", golds, ["[2]", "[1]", "[1]", "[2]"]),
    }
    got = metric_bounds(values("LaMP-1", golds, ["[2]", "[2]", "[1]", "[2]"]), pool)["accuracy"]
    assert (got.best, got.best_value, got.oracle, got.value) == ("bm25", 0.5, 0.75, 0.25)
    assert got.share == -1.0


def test_who_always_takes_the_best_single_member_gains_nothing(pool):
    found = metric_bounds(pool["bm25"], pool)["MAE"]
    assert (found.share, found.p_value) == (0.0, 1.0)


def test_where_the_members_are_alike_there_is_nothing_to_share(pool):
    alike = dict.fromkeys(pool, pool["bm25"])
    found = metric_bounds(pool["bm25"], alike)["MAE"]
    assert (found.best, found.oracle, found.share) == ("none", found.best_value, None)


def test_macro_f1_is_left_out():
    run = values("LaMP-2", ["comedy", "action"], ["comedy", "comedy"])
    assert list(metric_bounds(run, {"none": run, "bm25": run})) == ["accuracy"]


def test_users_are_what_is_paired():
    golds, users = ["[1]"] * 4, ["ann", "ann", "ben", "ben"]
    pool = {
        "none": values("LaMP-1", golds, ["[1]", "[2]", "[2]", "[2]"], users),
        "bm25": values("LaMP-1", golds, ["[1]", "[2]", "[1]", "[2]"], users),
    }
    # Ann loses one and wins one against bm25: no difference of hers. Ben's alone gives p = 1.
    got = metric_bounds(values("LaMP-1", golds, ["[2]", "[1]", "[1]", "[1]"], users), pool)["accuracy"]
    assert (got.best, got.p_value) == ("bm25", 1.0)


def test_members_that_answered_other_questions_are_refused(pool):
    pool["recency"] = values("LaMP-3", GOLDS[:3], ["4", "2", "5"])
    with pytest.raises(DifferentQuestions):
        metric_bounds(pool["bm25"], pool)


def test_a_pool_without_members_is_none(pool):
    with pytest.raises(ValueError, match="has members"):
        metric_bounds(pool["bm25"], {})


def test_bounds_survive_being_stored_with_the_pools_order():
    metrics = {"MAE": MetricBounds("bm25", 1.0, 0.25, 0.5, None, 0.1)}
    bounds = Bounds({"recency": 1, "bm25": 0, "none": 3}, metrics)
    stored = json.loads(json.dumps(bounds.as_dict(), sort_keys=True))
    assert Bounds.from_dict(stored) == bounds
    assert list(Bounds.from_dict(stored).chosen) == ["recency", "bm25", "none"]
