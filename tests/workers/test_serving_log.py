from dataclasses import replace

import pytest

from workers.adapter_memory import AdapterMemory
from workers.engine.slot_cache import SlotMetrics
from workers.serving_log import ServingLog

MEMORY = AdapterMemory(max_bytes=10).snapshot()
SLOTS = SlotMetrics(
    slots=16,
    adapters=2,
    bytes_held=2**20,
    hits=5,
    copies=3,
    evictions=1,
    bytes_copied=2**20,
    wait_seconds=0.5,
    copy_seconds=0.25,
)


@pytest.fixture
def clock():
    return [100.0]


@pytest.fixture
def log(clock, caplog):
    caplog.set_level("INFO", logger="workers.serving_log")
    return ServingLog(now=lambda: clock[0])


def test_a_change_is_logged_at_most_once_a_minute(log, clock, caplog):
    for second in range(0, 121, 10):
        clock[0] = 100.0 + second
        log.report(memory=replace(MEMORY, hits=second), slots=SLOTS)
    assert len(caplog.records) == 3


def test_what_has_not_changed_is_not_logged_again(log, clock, caplog):
    for _ in range(3):
        clock[0] += 100
        log.report(memory=MEMORY, slots=SLOTS)
    assert len(caplog.records) == 1


def test_it_says_what_both_did(log, caplog):
    log.report(memory=replace(MEMORY, hits=7, evictions=4), slots=SLOTS)
    assert "7 hits" in caplog.text
    assert "4 evictions" in caplog.text
    assert "3 copies of 1.0 MiB in 0.250 s" in caplog.text
