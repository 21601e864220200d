"""What the caches of adapters say of themselves becomes numbers that only grow."""

import pytest

from training_app.measures import ADAPTER_USES
from workers.adapter_counts import AdapterCounts

PLACE = "slots"


@pytest.fixture
def grown():
    """By how much hits and misses have grown since the test began."""

    def counted():
        return tuple(ADAPTER_USES.labels(PLACE, outcome)._value.get() for outcome in ("hit", "miss"))

    before = counted()
    return lambda: tuple(now - then for now, then in zip(counted(), before, strict=True))


def test_sums_that_grow_are_counted_once(grown):
    counts = AdapterCounts()
    counts.take(PLACE, hits=3, misses=1)
    counts.take(PLACE, hits=3, misses=1)
    counts.take(PLACE, hits=5, misses=2)
    assert grown() == (5, 2)


def test_caches_of_two_base_models_add_up(grown):
    counts = AdapterCounts()
    counts.take(PLACE, of="small", hits=3, misses=1)
    counts.take(PLACE, of="large", hits=2, misses=4)
    assert grown() == (5, 5)


def test_a_cache_that_was_made_anew_begins_at_nothing(grown):
    counts = AdapterCounts()
    counts.take(PLACE, hits=3, misses=4)
    counts.take(PLACE, hits=0, misses=1)
    assert grown() == (3, 5)
