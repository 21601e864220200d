"""What a benchmark gives, and how two ways of doing the same thing are timed side by side."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """One figure of `make bench`."""

    name: str
    ratio: float
    """How many times better than the baseline: above 1 is a gain."""
    median: float
    """What ours took or reached, in `unit`."""
    unit: str
    detail: str
    """What was compared, and the baseline's own median."""


class Timing(NamedTuple):
    """Medians over rounds in which both sides ran in turn (A B A B ...); seconds a call."""

    ratio: float
    """Median over the rounds of baseline / ours."""
    baseline: float
    ours: float


def side_by_side(
    baseline: Callable[[], object],
    ours: Callable[[], object],
    *,
    rounds: int,
    baseline_calls: int = 1,
    our_calls: int = 1,
) -> Timing:
    """Time both in turn in one process. Whoever calls has asserted before that both give the same."""
    gc.collect()
    baseline_seconds, our_seconds = [], []
    for _ in range(rounds):
        baseline_seconds.append(_seconds(baseline, baseline_calls))
        our_seconds.append(_seconds(ours, our_calls))
    return compared(baseline_seconds, our_seconds)


def in_turn(calls: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round (A B C A B C ...), where one baseline stands against several of ours."""
    gc.collect()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            seconds[name].append(_seconds(call, 1))
    return seconds


def compared(baseline: Sequence[float], ours: Sequence[float]) -> Timing:
    """Seconds of both sides, round by round, as a timing."""
    ratios = [slow / fast for slow, fast in zip(baseline, ours, strict=True)]
    return Timing(statistics.median(ratios), statistics.median(baseline), statistics.median(ours))


def _seconds(call: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls
