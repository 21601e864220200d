"""The forward pass over packed rows against transformers' own modules: losses and LoRA's gradients in float64."""

from collections.abc import Sequence
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call

from tests.workers.engine.families import FAMILIES, family_model
from tests.workers.engine.models import WORDS, words_tokenizer
from workers.engine import packed_attention
from workers.engine.adapters import lora_a_key, lora_b_key
from workers.engine.base_model import BaseModel, wrap
from workers.engine.batches import TokenPair, padded
from workers.engine.lora import LoraSlots
from workers.engine.lora_training import TrainedRows
from workers.engine.packed_t5 import packed_loss
from workers.engine.packing import pack_pairs

# Tokens of a row's input and output, from a single one to more than attention takes by plain products.
LENGTHS = st.tuples(st.integers(1, 60), st.integers(1, 60))
USERS = st.lists(st.lists(LENGTHS, min_size=1, max_size=5), min_size=1, max_size=3)
RANKS = (2, 4, 3)
EDGES = {
    "one token": [[(1, 1)]],
    "one token beside long rows": [[(1, 60), (60, 1)], [(1, 1)]],
    "all of one length": [[(20, 20)] * 3, [(20, 20)]],
    "a row beyond plain products": [[(50, 50), (3, 49)], [(70, 48)]],
}


@cache
def base_of(family: str) -> BaseModel:
    model = family_model(family, dtype=torch.float64)
    return wrap(model, words_tokenizer(), name=family, revision="0")


def pairs_of(lengths: Sequence[tuple[int, int]], *, seed: int) -> list[TokenPair]:
    draw = torch.Generator().manual_seed(seed)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(1, len(WORDS) + 3, (count,), generator=draw).tolist())

    return [TokenPair(tokens(source), tokens(target)) for source, target in lengths]


def slots_of(base: BaseModel, users: int) -> LoraSlots:
    """Users of several ranks whose A and B are both drawn, so that both have a gradient."""
    slots = LoraSlots(base.projections, slots=users, rank=max(RANKS), trainable=True, dtype=torch.float64)
    draw = torch.Generator().manual_seed(7)
    for user in range(users):
        slots.reset(user, seed=user, rank=RANKS[user], alpha=8)
        with torch.no_grad():
            for b in slots.b:
                rank = RANKS[user]
                b[user, :, :rank].copy_(torch.randn(b.shape[1], rank, generator=draw, dtype=b.dtype) * 0.1)
    return slots


def expected(base: BaseModel, adapter: dict[str, Tensor], scale: float, pairs: Sequence[TokenPair]):
    """Loss and gradients of transformers' model whose projections have the adapter merged in."""
    leaves = {name: tensor.clone().requires_grad_(True) for name, tensor in adapter.items()}
    merged = {
        f"{projection.name}.weight": base.model.get_parameter(f"{projection.name}.weight")
        + scale * leaves[lora_b_key(projection.name)] @ leaves[lora_a_key(projection.name)]
        for projection in base.projections.projections
    }
    ids, mask = padded([pair.source for pair in pairs], pad=base.pad_token)
    labels, _ = padded([pair.target for pair in pairs], pad=-100)
    output = functional_call(base.model, merged, kwargs={"input_ids": ids, "attention_mask": mask, "labels": labels})
    return output.loss.detach(), dict(zip(leaves, torch.autograd.grad(output.loss, list(leaves.values())), strict=True))


def assert_as_transformers(family: str, users: Sequence[Sequence[tuple[int, int]]], *, recompute: bool = False) -> None:
    base, slots = base_of(family), slots_of(base_of(family), len(users))
    of_users = [pairs_of(lengths, seed=seed) for seed, lengths in enumerate(users)]
    part = pack_pairs([pair for pairs in of_users for pair in pairs], start=base.start_token, device=base.input_device)
    rows = TrainedRows(
        slots,
        [user for user, pairs in enumerate(of_users) for _ in pairs],
        source_lengths=part.source_lengths,
        target_lengths=part.target_lengths,
        dropout=None,
    )
    counts = [sum(len(pair.target) for pair in pairs) for pairs in of_users]
    shares = torch.tensor([1 / count for count in counts for _ in range(count)], dtype=torch.float64)
    total, losses = packed_loss(base, part, rows, shares=shares, recompute=recompute)
    total.backward()
    for user, (pairs, of_user) in enumerate(zip(of_users, losses.split(counts), strict=True)):
        loss, gradients = expected(base, slots.read(user), slots.scales[user], pairs)
        assert float(of_user.mean()) == pytest.approx(float(loss), abs=1e-10)
        found = slots.read(user, [bank.gradients for bank in slots.banks])
        largest = max(float(gradient.abs().max()) for gradient in gradients.values())
        assert max(float((found[name] - gradients[name]).abs().max()) for name in gradients) < 1e-9 * max(1.0, largest)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=12, deadline=None)
@given(users=USERS)
def test_losses_and_gradients_are_those_of_transformers(family, users):
    assert_as_transformers(family, users)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("edge", EDGES)
def test_so_they_are_at_the_edges(edge, recompute):
    assert_as_transformers("flan-t5", EDGES[edge], recompute=recompute)


@pytest.mark.parametrize("queries", [0, 1000])
def test_either_way_of_attending_gives_the_same(queries, monkeypatch):
    monkeypatch.setattr(packed_attention, "PLAIN_QUERIES", queries)
    assert_as_transformers("t5", [[(30, 20), (7, 55)], [(60, 1)]])


def test_what_is_not_finite_of_one_user_reaches_nobody_else():
    base = base_of("flan-t5")
    pairs = pairs_of([(9, 4), (3, 7), (5, 5)], seed=1)
    part = pack_pairs(pairs, start=base.start_token, device=base.input_device)
    gradients = []
    for spoilt in (0.1, float("nan"), float("inf")):
        slots = slots_of(base, 3)
        with torch.no_grad():
            for a in slots.a:
                a[1, 0, 0] = spoilt
        lengths = {"source_lengths": part.source_lengths, "target_lengths": part.target_lengths}
        rows = TrainedRows(slots, [0, 1, 2], **lengths, dropout=None)
        shares = torch.full((16,), 0.1, dtype=torch.float64)
        packed_loss(base, part, rows, shares=shares)[0].backward()
        gradients.append([bank.gradients[slot] for bank in slots.banks for slot in (0, 2)])
    assert all(
        torch.equal(one, other) for others in gradients[1:] for one, other in zip(gradients[0], others, strict=True)
    )
