"""What serving's adapters did, in the worker's log: at most once a minute, and only where something changed."""

import logging
import time
from collections.abc import Callable

from workers.adapter_memory import CacheMetrics
from workers.engine.slot_cache import SlotMetrics

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0
_MIB = 2**20


class ServingLog:
    """`now` tells seconds that only grow."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last: tuple[CacheMetrics, SlotMetrics] | None = None
        self._next = 0.0

    def report(self, *, memory: CacheMetrics, slots: SlotMetrics) -> None:
        """Log both unless that was done within the last minute, or nothing changed since."""
        if (memory, slots) == self._last or (self._last is not None and self._now() < self._next):
            return
        self._last = memory, slots
        self._next = self._now() + INTERVAL_SECONDS
        logger.info(
            "adapters in memory: %d of %.1f MiB, %d hits, %d misses, %d evictions, %.1f MiB loaded in %.2f s; "
            "in slots: %d of %d, %d hits, %d copies of %.1f MiB in %.3f s after waiting %.2f s, %d evictions",
            memory.adapters,
            memory.bytes_held / _MIB,
            memory.hits,
            memory.misses,
            memory.evictions,
            memory.bytes_loaded / _MIB,
            memory.load_seconds,
            slots.adapters,
            slots.slots,
            slots.hits,
            slots.copies,
            slots.bytes_copied / _MIB,
            slots.copy_seconds,
            slots.wait_seconds,
            slots.evictions,
        )


serving_log = ServingLog()
