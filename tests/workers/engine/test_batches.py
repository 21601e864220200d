"""Order, effective batches and micro-batches."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.engine.batches import TokenPair, effective_batches, epoch_order, micro_batch, split_by_length

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
@given(lengths=LENGTHS, most=st.integers(10, 400), cost=st.integers(0, 300))
def test_micro_batches_hold_every_row_once_within_the_limit(lengths, most, cost):
    batch = [pair(*length) for length in lengths]
    runs = split_by_length(batch, max_tokens=most, pass_cost=cost)
    assert sorted(row for run in runs for row in run) == list(range(len(batch)))
    for run in runs:
        tokens = len(run) * (max(lengths[row][0] for row in run) + max(lengths[row][1] for row in run))
        assert tokens <= most or len(run) == 1


@settings(max_examples=60, deadline=None)
@given(lengths=LENGTHS, cost=st.integers(0, 300))
def test_splitting_never_costs_more_than_one_pass_for_all(lengths, cost):
    def price(run: list[int]) -> int:
        return cost + len(run) * (max(lengths[row][0] for row in run) + max(lengths[row][1] for row in run))

    runs = split_by_length([pair(*length) for length in lengths], max_tokens=10**9, pass_cost=cost)
    assert sum(price(run) for run in runs) <= price(list(range(len(lengths))))


@pytest.mark.parametrize(("long", "runs"), [(12, 1), (500, 2)])
def test_a_long_row_goes_alone_where_that_saves_padding(long, runs):
    batch = [pair(10, 5)] * 15 + [pair(long, 5)]
    assert len(split_by_length(batch)) == runs


def test_padding_and_the_start_token_stand_where_t5_wants_them():
    part = micro_batch([pair(1, 2), pair(3, 1)], pad=0, start=9, device=torch.device("cpu"))
    assert part.input_ids.tolist() == [[2, 0, 0], [2, 3, 4]]
    assert part.attention_mask.tolist() == [[1, 0, 0], [1, 1, 1]]
    assert part.decoder_input_ids.tolist() == [[9, 2], [9, 0]]
    assert part.at_target.tolist() == [0, 1, 2]
    assert part.targets.tolist() == [2, 3, 2]
