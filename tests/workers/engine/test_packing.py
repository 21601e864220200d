"""Rows laid end to end, and the padded groups that attention works on."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.engine.batches import TokenPair
from workers.engine.packing import GroupLimits, Padding, pack_pairs, similar_rows

CPU = torch.device("cpu")
LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=20)
FREELY = GroupLimits(tokens=10**9, padding=10**9)


def test_pairs_are_laid_end_to_end_and_the_decoder_starts_with_its_token():
    part = pack_pairs([TokenPair((2, 3, 1), (4, 1)), TokenPair((1,), (5, 6, 1))], start=9, device=CPU)
    assert part.sources.tolist() == [2, 3, 1, 1]
    assert part.decoder_inputs.tolist() == [9, 4, 9, 5, 6]
    assert part.targets.tolist() == [4, 1, 5, 6, 1]
    assert (part.source_lengths, part.target_lengths) == ((3, 1), (2, 3))


class TestSimilarRows:
    @settings(max_examples=100, deadline=None)
    @given(
        lengths=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=30),
        tokens=st.integers(1, 500),
        padding=st.integers(0, 100),
    )
    def test_every_row_is_in_one_group_within_the_limits(self, lengths, tokens, padding):
        groups = similar_rows(*zip(*lengths, strict=True), limits=GroupLimits(tokens=tokens, padding=padding))
        assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
        for group in groups:
            padded = len(group) * sum(max(lengths[row][side] for row in group) for side in (0, 1))
            assert len(group) == 1 or padded <= tokens
            assert padded - sum(sum(lengths[row]) for row in group) <= padding

    def test_what_the_limits_allow_is_one_group(self):
        assert similar_rows([3, 1, 2], limits=FREELY) == [[1, 2, 0]]

    def test_a_long_row_goes_alone_where_that_saves_padding(self):
        assert similar_rows([10, 50, 10, 11], limits=GroupLimits(tokens=1000, padding=8)) == [[0, 2, 3], [1]]


class TestPadding:
    @settings(max_examples=60, deadline=None)
    @given(lengths=LENGTHS, limit=st.integers(0, 200), shortest=st.integers(1, 50))
    def test_tokens_come_back_as_they_went(self, lengths, limit, shortest):
        groups = similar_rows(lengths, limits=GroupLimits(tokens=400, padding=limit))
        padding = Padding(lengths, groups, heads=2, shortest=shortest, device=CPU)
        packed = torch.arange(sum(lengths) * 6.0).view(-1, 6)
        assert torch.equal(padding.pack(padding.unpack(packed)), packed)
        assert [rows for rows, _ in padding.shapes] == [len(group) for group in groups]
        assert min(length for _, length in padding.shapes) >= shortest

    def test_heads_see_their_features_of_their_own_row_and_the_last_token_again_where_there_is_none(self):
        padding = Padding([1, 3], [[1, 0]], heads=2, shortest=4, device=CPU)
        (group,) = padding.unpack(torch.arange(8.0).view(4, 2))
        assert group.tolist() == [
            [[[2], [4], [6], [6]], [[3], [5], [7], [7]]],
            [[[0], [0], [0], [0]], [[1], [1], [1], [1]]],
        ]
        assert padding.masks[0].tolist() == [[True, True, True, False], [True, False, False, False]]

    def test_rows_of_one_length_need_no_mask(self):
        assert Padding([3, 3], [[0, 1]], heads=1, shortest=1, device=CPU).masks == [None]

    @pytest.mark.parametrize("shortest", [1, 16])
    def test_gradients_go_the_same_ways(self, shortest):
        """The groups do unequal things, so no way can be taken for another."""
        lengths = [5, 1, 4, 2]
        padding = Padding(lengths, [[1, 3], [0, 2]], heads=2, shortest=shortest, device=CPU)

        def through(packed: torch.Tensor) -> torch.Tensor:
            return padding.pack([group.sin() * (place + 1) for place, group in enumerate(padding.unpack(packed))])

        packed = torch.randn(12, 6, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(through, packed)
