import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats

from eval_app.comparison import Comparison, compare, paired_p
from eval_app.improvement import DifferentQuestions
from tests.eval_app.runs import answers


def flip(label):
    return "[2]" if label == "[1]" else "[1]"


def test_accuracy_of_users_with_one_question_each_by_hand():
    golds = ["[1]"] * 6
    none = answers("LaMP-1", golds, ["[1]", "[2]", "[2]", "[2]", "[2]", "[1]"])
    rag = answers("LaMP-1", golds, ["[1]", "[1]", "[1]", "[1]", "[1]", "[2]"])
    found = compare(none, rag)
    accuracy = found.metrics["accuracy"]
    # Five users changed, four of them for the better: |sum| >= 3 in 12 of 32 swaps.
    assert accuracy.p_value == 12 / 32
    assert (accuracy.baseline, accuracy.value) == (pytest.approx(2 / 6), pytest.approx(5 / 6))
    assert (accuracy.delta, accuracy.relative_gain) == (pytest.approx(0.5), pytest.approx(1.5))
    assert (found.users, found.wins, found.ties, found.losses) == (6, 4, 1, 1)


@pytest.mark.parametrize("task_key", ["LaMP-1", "LaMP-3", "LaMP-4"])
def test_p_values_of_means_are_scipys(task_key):
    generator = np.random.default_rng(7)
    words = {"LaMP-1": ["[1]", "[2]"], "LaMP-3": ["1", "2", "3", "4", "5"], "LaMP-4": ["a b", "b c", "c a", "a b c"]}[
        task_key
    ]
    golds, first, second = generator.choice(words, size=(3, 20)).tolist()
    users = [f"u{at % 10}" for at in range(20)]
    none, rag = answers(task_key, golds, first, users), answers(task_key, golds, second, users)
    metric = none.task.metrics[0].name
    theirs = stats.permutation_test(
        (rag.user_means(metric), none.user_means(metric)),
        lambda a, b, axis: np.round(np.mean(a, axis=axis) - np.mean(b, axis=axis), 12),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert compare(none, rag).metrics[metric].p_value == pytest.approx(theirs.pvalue)


def test_the_p_of_rmse_is_that_of_swapping_the_roots():
    generator = np.random.default_rng(5)
    golds, first, second = generator.choice(["1", "2", "3", "4", "5"], size=(3, 10)).tolist()
    none, rag = answers("LaMP-3", golds, first), answers("LaMP-3", golds, second)
    before, after = none.sample_values("RMSE"), rag.sample_values("RMSE")

    def difference(swapped):
        one, other = np.where(swapped, before, after), np.where(swapped, after, before)
        return math.sqrt(one.mean()) - math.sqrt(other.mean())

    observed = abs(difference(np.zeros(10, bool)))
    swaps = list(itertools.product((False, True), repeat=10))
    by_hand = sum(abs(difference(np.array(swap))) >= observed - 1e-12 for swap in swaps) / len(swaps)
    assert paired_p(none, rag, "RMSE") == pytest.approx(by_hand)


def test_macro_f1_swaps_all_of_a_users_predictions():
    golds = ["comedy", "action", "comedy", "action"]
    none = answers("LaMP-2", golds, ["x", "x", "x", "x"], users=["ann", "ann", "bob", "bob"])
    rag = answers("LaMP-2", golds, golds, users=["ann", "ann", "bob", "bob"])
    # Two users changed; only no swap and both swaps are as extreme as the observed difference.
    assert compare(none, rag).metrics["f1"].p_value == 0.5
    apart = answers("LaMP-2", golds, ["x", "x", "x", "x"]), answers("LaMP-2", golds, golds)
    assert compare(*apart).metrics["f1"].p_value == 2 / 16


def test_a_run_against_itself_changes_nothing():
    golds = ["a b", "c"]
    none = answers("LaMP-4", golds, ["a", "b"])
    found = compare(none, none)
    assert (found.wins, found.ties, found.losses) == (0, 2, 0)
    assert all((one.delta, one.p_value, one.relative_gain) == (0, 1, 0) for one in found.metrics.values())


def test_changing_sides_keeps_p_and_turns_the_rest():
    golds = ["5", "4", "3", "1"]
    one, other = answers("LaMP-3", golds, ["1", "4", "2", "2"]), answers("LaMP-3", golds, ["5", "3", "3", "2"])
    there, back = compare(one, other), compare(other, one)
    assert (there.wins, there.losses) == (back.losses, back.wins)
    for name in ("MAE", "RMSE"):
        assert there.metrics[name].p_value == back.metrics[name].p_value
        assert there.metrics[name].delta == -back.metrics[name].delta


def test_a_gain_over_zero_is_not_defined():
    found = compare(answers("LaMP-1", ["[1]"], ["[2]"]), answers("LaMP-1", ["[1]"], ["[1]"]))
    assert found.metrics["accuracy"].relative_gain is None
    assert found.metrics["accuracy"].delta == 1


def test_a_seed_repeats_a_drawn_p():
    golds = ["[1]"] * 40
    none = answers("LaMP-1", golds, golds[:25] + [flip(gold) for gold in golds[25:]])
    rag = answers("LaMP-1", golds, [flip(gold) for gold in golds[:10]] + golds[10:])
    assert compare(none, rag, seed=3, draws=500) == compare(none, rag, seed=3, draws=500)


def test_runs_over_other_questions_are_not_compared():
    with pytest.raises(DifferentQuestions, match="2 and 1 questions"):
        compare(answers("LaMP-1", ["[1]"] * 2, ["[1]"] * 2), answers("LaMP-1", ["[1]"], ["[1]"]))


def test_a_comparison_goes_through_json_and_back():
    golds = ["comedy", "action", "comedy"]
    found = compare(answers("LaMP-2", golds, ["x", "x", "x"]), answers("LaMP-2", golds, golds))
    assert Comparison.from_dict(json.loads(json.dumps(found.as_dict(), allow_nan=False))) == found
