"""Slots that serve: what stands in them, and what takes an adapter there."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from tests.workers.engine.models import small_base
from workers.engine.adapters import AdapterWeights, adapter_weights
from workers.engine.serving_slots import ServingSlots, pack
from workers.engine.slot_cache import SlotCache


@pytest.fixture(scope="module")
def base():
    return small_base()


def adapter(base, seed: int, *, rank: int = 4, dtype: torch.dtype = torch.float32) -> AdapterWeights:
    source = torch.Generator().manual_seed(seed)
    shapes = base.projections.shapes(rank)
    return adapter_weights(
        {name: torch.randn(shape, generator=source).to(dtype) for name, shape in shapes.items()}, rank=rank, alpha=16.0
    )


def cache(base, *, slots: int = 2, rank: int = 8) -> SlotCache:
    made = SlotCache(base.projections, slots=slots, dtype=torch.float32)
    made.make_room(rank)
    return made


def held(cache: SlotCache, slot: int, weights: AdapterWeights) -> bool:
    """Whether exactly those values stand in the slot."""
    found = cache.slots.read(slot)
    return all(torch.equal(found[name], tensor.float()) for name, tensor in weights.tensors.items())


@pytest.mark.parametrize("rank", [1, 4, 8])
def test_a_slot_holds_the_adapter_s_values_and_zeros_beyond_its_rank(base, rank):
    slots = ServingSlots(base.projections, slots=2, rank=8, dtype=torch.float32)
    slots.load(1, adapter(base, 1, rank=8))
    wanted = adapter(base, 2, rank=rank)
    slots.load(1, wanted)
    found = slots.read(1)
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.tensors.items())
    assert not any(a[1, rank:].any() or b[1, :, rank:].any() for a, b in zip(slots.a, slots.b, strict=True))
    assert slots.scales[1] == 16.0 / rank


def test_an_adapter_waits_in_its_stored_precision_and_serves_in_that_of_the_slots(base):
    stored = adapter(base, 1, dtype=torch.bfloat16)
    packed = pack(base.projections, stored)
    assert {part.dtype for part in packed.parts} == {torch.bfloat16}
    assert packed.nbytes == pytest.approx(stored.nbytes, rel=0.1)
    assert packed.nbytes * 2 == pack(base.projections, adapter(base, 1)).nbytes
    slots = cache(base)
    slot = slots.place([packed])[0].slot
    assert slots.slots.banks[0].values.dtype == torch.float32
    assert held(slots, slot, stored)


def test_two_versions_of_one_adapter_stand_side_by_side(base):
    slots = cache(base)
    first, second = adapter(base, 1), adapter(base, 2)
    for _ in range(3):
        for version in (first, second):
            assert held(slots, slots.place([version])[0].slot, version)
    assert slots.snapshot().copies == 2


def test_the_least_recently_used_makes_room_and_comes_back_whole(base):
    slots = cache(base)
    one, two, three = (adapter(base, seed) for seed in (1, 2, 3))
    for wanted in (one, two, one, three, one, two):
        assert held(slots, slots.place([wanted])[0].slot, wanted)
    found = slots.snapshot()
    assert (found.copies, found.hits, found.evictions, found.adapters) == (4, 2, 2, 2)
    assert found.bytes_copied == sum(weights.nbytes for weights in (one, two, three, two))
    assert found.copy_seconds > 0


def test_what_one_batch_uses_is_not_replaced_by_another_of_the_same_batch(base):
    slots = cache(base)
    old, new, other = (adapter(base, seed) for seed in (1, 2, 3))
    slots.place([old, other])
    placed = slots.place([new, old, None, new])
    assert [place.slot is None for place in placed] == [False, False, True, False]
    assert placed[0].slot == placed[3].slot != placed[1].slot
    assert held(slots, placed[0].slot, new)
    assert held(slots, placed[1].slot, old)


def test_more_different_adapters_than_slots_are_refused(base):
    with pytest.raises(ValueError, match="3 adapters do not fit 2 slots"):
        cache(base).place([adapter(base, seed) for seed in (1, 2, 3)])


def test_an_adapter_that_does_not_fit_fails_alone_and_takes_no_slot(base):
    slots = cache(base, rank=4)
    wide, fitting, another = adapter(base, 1, rank=8), adapter(base, 2), adapter(base, 3)
    failed, placed = slots.place([wide, fitting])
    assert isinstance(failed.failure, ValueError)
    assert held(slots, placed.slot, fitting)
    assert held(slots, slots.place([another, fitting])[0].slot, another)
    assert slots.snapshot().evictions == 0


def test_slots_made_anew_for_a_higher_rank_begin_empty(base):
    slots = cache(base, rank=4)
    weights = adapter(base, 1)
    slots.place([weights])
    slots.make_room(16)
    assert slots.snapshot().adapters == 0
    assert held(slots, slots.place([weights])[0].slot, weights)


def test_a_source_is_not_asked_for_what_stands_in_a_slot(base):
    weights = adapter(base, 1)
    asked = []

    class Source:
        digest, rank = weights.digest, weights.rank

        @contextmanager
        def held(self):
            asked.append(self.digest)
            yield replace(weights)

    slots = cache(base)
    assert [slots.place([Source()])[0].loaded for _ in range(3)] == [True, False, False]
    assert asked == [weights.digest]


def test_what_is_forgotten_is_overwritten_and_its_slot_is_free(base):
    slots = cache(base)
    first, second, third = (adapter(base, seed) for seed in range(3))
    [of_first, of_second] = [placed.slot for placed in slots.place([first, second])]
    slots.forget([first.digest, "never seen"])
    assert slots.digests() == [second.digest]
    assert not any(values.any() for values in slots.slots.read(of_first).values())
    assert held(slots, of_second, second)
    assert slots.place([third])[0].slot == of_first
    assert held(slots, of_second, second)
