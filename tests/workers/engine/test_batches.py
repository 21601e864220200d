"""Order, effective batches and passes."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from workers.engine.batches import TokenPair, effective_batches, epoch_order, split_by_tokens

LENGTHS = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 20)), min_size=1, max_size=20)


def pair(source: int, target: int) -> TokenPair:
    return TokenPair(tuple(range(2, 2 + source)), tuple(range(2, 2 + target)))


def test_every_pair_comes_once_an_epoch_and_the_last_batch_may_be_smaller():
    batches = list(effective_batches(37, size=16, seed=1, epoch=0))
    assert [len(batch) for batch in batches] == [16, 16, 5]
    assert sorted(index for batch in batches for index in batch) == list(range(37))


def test_epochs_and_seeds_have_orders_of_their_own():
    assert epoch_order(20, seed=1, epoch=0) != epoch_order(20, seed=1, epoch=1)
    assert epoch_order(20, seed=1, epoch=0) != epoch_order(20, seed=2, epoch=0)
    assert epoch_order(20, seed=1, epoch=7) == epoch_order(20, seed=1, epoch=7)


@settings(max_examples=60, deadline=None)
@given(lengths=LENGTHS, most=st.integers(1, 400))
def test_passes_hold_every_row_once_in_order_within_the_limit(lengths, most):
    passes = split_by_tokens([pair(*length) for length in lengths], max_tokens=most)
    assert [row for one in passes for row in one] == list(range(len(lengths)))
    for one in passes:
        assert sum(sum(lengths[row]) for row in one) <= most or len(one) == 1


@settings(max_examples=60, deadline=None)
@given(lengths=LENGTHS, most=st.integers(80, 400))
def test_a_pass_ends_only_where_the_next_row_does_not_fit(lengths, most):
    passes = split_by_tokens([pair(*length) for length in lengths], max_tokens=most)
    for one, following in pairwise(passes):
        assert sum(sum(lengths[row]) for row in [*one, following[0]]) > most
