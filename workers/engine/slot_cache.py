"""Preallocated slots that serving loads adapters into."""

from collections import OrderedDict
from collections.abc import Sequence

import torch

from workers.engine.adapters import AdapterWeights
from workers.engine.lora import LoraProjections, LoraSlots


class SlotCache:
    """A bounded number of slots, filled by content: an adapter that is there already is not copied again.

    Slots are found by the adapter's digest, so what is served is never stale; the least recently used slot makes room.
    """

    def __init__(self, projections: LoraProjections, *, slots: int, rank: int, dtype: torch.dtype) -> None:
        self.slots = LoraSlots(projections, slots=slots, rank=rank, dtype=dtype)
        self._used: OrderedDict[str, int] = OrderedDict()
        self._free = list(range(slots - 1, -1, -1))
        self.loads = 0
        self.hits = 0

    @property
    def capacity(self) -> int:
        return self.slots.slots

    def place(self, adapters: Sequence[AdapterWeights | None]) -> list[int | None]:
        """The slot of each adapter, loading those that are missing; at most `capacity` different ones at a time."""
        wanted = {adapter.digest: adapter for adapter in adapters if adapter is not None}
        if len(wanted) > self.capacity:
            raise ValueError(f"{len(wanted)} adapters do not fit {self.capacity} slots")
        present = [key for key in wanted if key in self._used]
        for key in present:
            self._used.move_to_end(key)
        self.hits += len(present)
        for key, adapter in wanted.items():
            if key in self._used:
                continue
            slot = self._free.pop() if self._free else self._used.popitem(last=False)[1]
            self.slots.load(slot, adapter)
            self._used[key] = slot
            self.loads += 1
        return [None if adapter is None else self._used[adapter.digest] for adapter in adapters]
