import itertools
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from eval_app.label_counts import LabelCounts, count_labels
from eval_app.significance import DRAWS, EXACT_USERS, holm, macro_f1_swap_p, sign_flip_p

# Eighths are exact in binary, so that scipy's ties are ties too.
scores = st.lists(st.tuples(*[st.integers(0, 8).map(lambda n: n / 8)] * 2), min_size=2, max_size=9)


def permutation_test(first, second):
    """scipy's exact paired permutation test of the difference of means."""
    return stats.permutation_test(
        (np.asarray(first), np.asarray(second)),
        lambda a, b, axis: np.mean(a, axis=axis) - np.mean(b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    ).pvalue


# --- means ---


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1.0], 1.0),  # +1 and -1 are as extreme
        ([1.0, 1.0], 2 / 4),
        ([1.0, 1.0, 1.0, 1.0, 1.0], 2 / 32),
        ([1.0, 1.0, 1.0, 1.0, -1.0], 12 / 32),  # |sum| >= 3: (5 + 1) * 2 of 32
        ([3.0, -1.0], 2 / 2 / 2 + 1 / 2),  # |sum| is 2 or 4: all 4 of 4
        ([1.0, 1.0, 0.0, 0.0], 2 / 4),  # users without a change say nothing
        ([0.0, 0.0], 1.0),
    ],
)
def test_few_users_are_counted_exactly(differences, p):
    assert sign_flip_p(differences) == pytest.approx(p, abs=0)


@settings(max_examples=60, deadline=None)
@given(scores)
def test_exact_p_is_scipys(pairs):
    first, second = zip(*pairs, strict=True)
    # scipy swaps users without a change too, which leaves the p as it is.
    assert sign_flip_p(np.subtract(first, second)) == pytest.approx(permutation_test(first, second), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1, 1, allow_nan=False), min_size=1, max_size=40), st.integers(0, 2**32))
def test_a_p_is_above_zero_and_at_most_one_and_does_not_care_which_side_is_first(differences, seed):
    p = sign_flip_p(differences, seed=seed, draws=200)
    assert 0 < p <= 1
    assert sign_flip_p([-d for d in differences], seed=seed, draws=200) == p


def test_drawn_p_agrees_with_the_exact_one():
    generator = np.random.default_rng(3)
    differences = generator.normal(0.35, 1, EXACT_USERS + 4)
    signs = np.array(list(itertools.product((1, -1), repeat=len(differences))))
    exact = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-12)
    drawn = sign_flip_p(differences, seed=1)
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / DRAWS))


def test_drawn_p_never_falls_to_zero():
    assert sign_flip_p(np.ones(200), draws=999) == 1 / 1000


def test_a_seed_repeats_its_p_and_another_seed_draws_anew():
    differences = np.random.default_rng(0).normal(0.1, 1, 100)
    assert sign_flip_p(differences, seed=5) == sign_flip_p(differences, seed=5)
    assert len({sign_flip_p(differences, seed=seed) for seed in range(5)}) > 1


def test_rounding_does_not_break_ties():
    # The differences sum to 0, so every swap is as extreme; summed as floats they miss it by a little.
    assert sign_flip_p([-0.8, -1.0, 0.1, 1.0, 0.4, 0.3]) == 1.0


def test_under_the_null_p_values_are_uniform():
    generator = np.random.default_rng(11)
    p_values = [sign_flip_p(generator.normal(size=30), draws=400, seed=seed) for seed in range(400)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


@pytest.mark.parametrize("wrong", [[], [[1.0]], [float("nan")], [float("inf"), 1.0]])
def test_what_is_no_list_of_differences_is_refused(wrong):
    with pytest.raises(ValueError):
        sign_flip_p(wrong)


def test_no_draw_is_no_test():
    with pytest.raises(ValueError, match="one draw"):
        sign_flip_p(np.ones(50), draws=0)


def test_ten_thousand_users_take_little_time_and_memory():
    differences = np.random.default_rng(0).normal(size=10_000)
    tracemalloc.start()
    started = time.perf_counter()
    sign_flip_p(differences)
    seconds = time.perf_counter() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20
    assert seconds < 10


# --- macro F1 ---


def counts(users, predicted, gold, labels=3):
    positions = [np.array(column, dtype=np.int64) for column in (users, predicted, gold)]
    return count_labels(
        users=positions[0],
        predicted=positions[1],
        gold=positions[2],
        user_count=max(users) + 1,
        label_count=labels,
    )


def f1_by_hand(predicted, gold, labels):
    values = []
    for label in range(labels):
        hits = sum(p == g == label for p, g in zip(predicted, gold, strict=True))
        either = sum(p == label for p in predicted) + sum(g == label for g in gold)
        values.append(2 * hits / either if either else 0.0)
    return sum(values) / labels


def swap_p_by_hand(users, first, second, gold, labels=3):
    """Swap the predictions of every set of users, one by one."""
    observed = abs(f1_by_hand(first, gold, labels) - f1_by_hand(second, gold, labels))
    extreme = total = 0
    for swapped in itertools.product((False, True), repeat=max(users) + 1):
        one = [b if swapped[user] else a for user, a, b in zip(users, first, second, strict=True)]
        other = [a if swapped[user] else b for user, a, b in zip(users, first, second, strict=True)]
        extreme += abs(f1_by_hand(one, gold, labels) - f1_by_hand(other, gold, labels)) >= observed - 1e-12
        total += 1
    return extreme / total


answers = st.lists(
    st.tuples(st.integers(0, 4), st.integers(-1, 2), st.integers(-1, 2), st.integers(0, 2)), min_size=1, max_size=12
)


@settings(max_examples=50, deadline=None)
@given(answers)
def test_exact_f1_p_is_that_of_swapping_by_hand(rows):
    # Users are numbered without gaps.
    order = {user: at for at, user in enumerate(sorted({row[0] for row in rows}))}
    users = [order[row[0]] for row in rows]
    first, second, gold = ([row[at] for row in rows] for at in (1, 2, 3))
    ours = macro_f1_swap_p(counts(users, first, gold), counts(users, second, gold))
    assert ours == pytest.approx(swap_p_by_hand(users, first, second, gold), abs=1e-12)
    assert macro_f1_swap_p(counts(users, second, gold), counts(users, first, gold)) == ours
    assert 0 < ours <= 1


def random_counts(users, *, right, seed, gold):
    generator = np.random.default_rng(seed)
    predicted = np.where(generator.random(users) < right, gold, generator.integers(-1, 15, users))
    return counts(list(range(users)), predicted, gold, labels=15)


def test_drawn_f1_p_finds_a_difference_and_finds_none_where_none_is():
    gold = np.random.default_rng(0).integers(0, 15, 400)
    base = random_counts(400, right=0.4, seed=1, gold=gold)
    assert macro_f1_swap_p(base, random_counts(400, right=0.7, seed=2, gold=gold)) < 0.001
    assert macro_f1_swap_p(base, random_counts(400, right=0.4, seed=3, gold=gold)) > 0.05
    assert macro_f1_swap_p(base, base) == 1.0


def test_f1_over_ten_thousand_users_takes_little_memory():
    gold = np.random.default_rng(0).integers(0, 15, 10_000)
    one, other = (random_counts(10_000, right=0.4, seed=seed, gold=gold) for seed in (1, 2))
    tracemalloc.start()
    macro_f1_swap_p(one, other, draws=2000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 96 * 2**20


def test_runs_over_other_golds_cannot_be_paired():
    with pytest.raises(ValueError, match="same golds"):
        macro_f1_swap_p(counts([0, 1], [0, 0], [0, 1]), counts([0, 1], [0, 0], [1, 1]))


def test_f1_of_nobody_is_refused():
    nobody = LabelCounts(*(np.zeros((0, 3), dtype=np.int64),) * 3)
    with pytest.raises(ValueError, match="one user"):
        macro_f1_swap_p(nobody, nobody)


# --- Holm ---


def test_holm_by_hand():
    # sorted: 0.01 * 4, 0.02 * 3, 0.03 * 2 (kept at 0.06), 0.04 * 1 (kept at 0.06)
    assert holm([0.04, 0.01, None, 0.03, 0.02]) == pytest.approx([0.06, 0.04, None, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([None, None]) == [None, None]
    assert holm([]) == []


@given(st.lists(st.none() | st.floats(1e-6, 1), max_size=30))
def test_holm_raises_p_values_and_keeps_their_order(p_values):
    corrected = holm(p_values)
    pairs = [(p, c) for p, c in zip(p_values, corrected, strict=True) if p is not None]
    assert [p is None for p in p_values] == [c is None for c in corrected]
    assert all(p <= c <= 1 for p, c in pairs)
    ordered = sorted(pairs)
    assert [c for _, c in ordered] == sorted(c for _, c in ordered)
    if pairs:
        assert min(c for _, c in pairs) == pytest.approx(min(1.0, len(pairs) * min(p for p, _ in pairs)))
