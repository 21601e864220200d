"""Counts what the caches of adapters say of themselves: they tell sums since they were made, counters take the rest."""

from typing import Final

from training_app.measures import ADAPTER_USES

MEMORY: Final = "memory"
SLOTS: Final = "slots"


class AdapterCounts:
    """What was counted so far of each cache."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}

    def take(self, place: str, *, of: str = "", hits: int, misses: int) -> None:
        """Count what came to the sums of a cache; `of` tells those of one place apart (the base model's name).

        Sums that have become smaller are those of a cache that was made anew.
        """
        before = self._seen.get((place, of), (0, 0))
        self._seen[place, of] = (hits, misses)
        if hits < before[0] or misses < before[1]:
            before = (0, 0)
        ADAPTER_USES.labels(place, "hit").inc(hits - before[0])
        ADAPTER_USES.labels(place, "miss").inc(misses - before[1])


adapter_counts: Final = AdapterCounts()
