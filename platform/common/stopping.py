"""That this web process was told to stop: whoever waits for something then answers while it still can.

Its server gives requests under way some seconds more (`graceful_timeout`) and then drops them without an answer.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

# Of those seconds. What comes in them is waited for; the rest is for telling what has not come.
_WAITING_SECONDS: Final = 5.0

_told = threading.Event()
_told_at = 0.0
_callbacks: list[Callable[[], object]] = []


def tell() -> None:
    """The process is to stop. Called from a signal handler, in a thread that answers no requests."""
    global _told_at
    if not _told.is_set():
        _told_at = time.monotonic()
        _told.set()
        for callback in _callbacks:
            callback()


def told() -> bool:
    """Whether the process is to stop."""
    return _told.is_set()


def seconds_left() -> float:
    """How long a request may still wait for something: without end, unless the process is to stop."""
    return max(0.0, _told_at + _WAITING_SECONDS - time.monotonic()) if _told.is_set() else float("inf")


def when_told(callback: Callable[[], object]) -> None:
    """Call this when the process is told to stop: it wakes whoever waits."""
    _callbacks.append(callback)
