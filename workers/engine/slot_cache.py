"""Preallocated slots that serving loads adapters into."""

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch

from workers.engine.adapters import AdapterWeights
from workers.engine.lora import LoraProjections
from workers.engine.serving_slots import PackedAdapter, ServingSlots


class AdapterSource(Protocol):
    """Whatever an adapter can be had from; an adapter in memory is one itself."""

    @property
    def digest(self) -> str:
        """A name of the adapter's content."""

    @property
    def rank(self) -> int: ...

    def held(self) -> AbstractContextManager[AdapterWeights | PackedAdapter]:
        """The adapter, which stays in memory inside; what cannot be had raises here."""


@dataclass(frozen=True)
class SlotMetrics:
    """What the slots of one base model hold, and what happened to them since the process began.

    A hit is an adapter that stood in its slot already; a copy is one that was moved into a slot, an eviction one that
    made room. `wait_seconds` went by until adapters were in memory, `copy_seconds` until they stood in their slots.
    """

    slots: int
    adapters: int
    bytes_held: int
    hits: int
    copies: int
    evictions: int
    bytes_copied: int
    wait_seconds: float
    copy_seconds: float


@dataclass(frozen=True)
class Placed:
    """Where a row's adapter stands (None: it has none), or why it stands nowhere; and how long that took."""

    slot: int | None = None
    failure: Exception | None = None
    loaded: bool = False
    seconds: float = 0.0


class SlotCache:
    """A bounded number of slots, filled by content: an adapter that is there already is not copied again.

    Slots are found by the adapter's digest, so what is served is never stale; the least recently used slot makes room.
    """

    def __init__(self, projections: LoraProjections, *, slots: int, dtype: torch.dtype) -> None:
        self._projections = projections
        self._dtype = dtype
        self.capacity = slots
        self.slots = ServingSlots(projections, slots=slots, rank=1, dtype=dtype)
        self._used: OrderedDict[str, int] = OrderedDict()
        self._free = list(range(slots - 1, -1, -1))
        self._hits = self._copies = self._evictions = self._bytes_copied = 0
        self._wait_seconds = self._copy_seconds = 0.0

    def make_room(self, rank: int) -> None:
        """Let adapters of that rank fit; slots that are made anew begin empty."""
        if self.slots.rank >= rank:
            return
        self._evictions += len(self._used)
        self.slots = ServingSlots(self._projections, slots=self.capacity, rank=rank, dtype=self._dtype)
        self._used.clear()
        self._free = list(range(self.capacity - 1, -1, -1))

    def place(self, adapters: Sequence[AdapterSource | None]) -> list[Placed]:
        """Where each row's adapter stands, after loading those that are missing.

        At most `capacity` different ones at a time, each of a rank that fits. One that cannot be had spoils no other.
        """
        wanted = {adapter.digest: adapter for adapter in adapters if adapter is not None}
        if len(wanted) > self.capacity:
            raise ValueError(f"{len(wanted)} adapters do not fit {self.capacity} slots")
        present = [digest for digest in wanted if digest in self._used]
        for digest in present:
            self._used.move_to_end(digest)
        self._hits += len(present)
        placed = {digest: Placed(self._used[digest]) for digest in present}
        for digest, adapter in wanted.items():
            if digest not in placed:
                placed[digest] = self._load(adapter)
        return [Placed() if adapter is None else placed[adapter.digest] for adapter in adapters]

    def digests(self) -> list[str]:
        """Of the adapters that stand in slots."""
        return list(self._used)

    def forget(self, digests: Iterable[str]) -> None:
        """Empty the slots of these adapters: their values are overwritten. Nothing may be computed meanwhile."""
        for digest in digests:
            slot = self._used.pop(digest, None)
            if slot is not None:
                self.slots.clear(slot)
                self._free.append(slot)

    def snapshot(self) -> SlotMetrics:
        return SlotMetrics(
            slots=self.capacity,
            adapters=len(self._used),
            bytes_held=self.slots.nbytes,
            hits=self._hits,
            copies=self._copies,
            evictions=self._evictions,
            bytes_copied=self._bytes_copied,
            wait_seconds=self._wait_seconds,
            copy_seconds=self._copy_seconds,
        )

    def _load(self, adapter: AdapterSource) -> Placed:
        begun = time.perf_counter()
        try:
            with adapter.held() as weights:
                here = time.perf_counter()
                slot = self._take_slot()
                try:
                    self.slots.load(slot, weights)
                except BaseException:
                    self._free.append(slot)
                    raise
                self._bytes_copied += weights.nbytes
        except Exception as problem:  # noqa: BLE001 - it is that of the rows which wanted this adapter
            return Placed(failure=problem, seconds=time.perf_counter() - begun)
        self._used[adapter.digest] = slot
        ended = time.perf_counter()
        self._copies += 1
        self._wait_seconds += here - begun
        self._copy_seconds += ended - here
        return Placed(slot, loaded=True, seconds=ended - begun)

    def _take_slot(self) -> int:
        if self._free:
            return self._free.pop()
        self._evictions += 1
        return self._used.popitem(last=False)[1]
