"""Whether an idle worker still hears the bells of its queues.

A heartbeat shows that a process lives, not that its consumer does. So an idle worker in whose queues jobs wait rings
for them itself, again and again. A broker that takes bell after bell, of which none arrives here while the jobs go on
waiting, means a deaf worker. One that is away means nothing: the consumer is then busy reconnecting.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from jobs import bells, conf

# The broker may give any one bell to another idle worker, and a consumer reconnects within half a minute.
_BELLS: Final = 4
_LOOK_SWEEPS: Final = 3
_LOOK_SECONDS_MIN: Final = 3.0


class Hearing:
    """What one worker hears.

    Args:
        busy: Whether the worker is at work on a bell, so that it need not hear another.
        ring: Rings for what waits in the worker's queues; how many bells the broker took.
        look_seconds: The least time between two looks.
    """

    def __init__(self, *, busy: Callable[[], bool], ring: Callable[[], int], look_seconds: float) -> None:
        self._busy = busy
        self._ring = ring
        self._look_seconds = look_seconds
        self._lock = threading.Lock()
        self._unheard = 0
        self._look_at = time.monotonic() + look_seconds

    def heard(self) -> None:
        """A bell has arrived."""
        with self._lock:
            self._unheard = 0
            self._look_at = time.monotonic() + self._look_seconds

    def is_deaf(self) -> bool:
        """Look, however often this is called no oftener than said; True once bell after bell has stayed unheard."""
        if self._busy():
            self.heard()
            return False
        with self._lock:
            if time.monotonic() < self._look_at:
                return False
            self._look_at = time.monotonic() + self._look_seconds
            self._unheard += 1
        if not self._ring():
            # Nothing waits, or there is no broker: nothing could be heard.
            self.heard()
        with self._lock:
            return self._unheard > _BELLS


def hearing_of(queues: Sequence[str], *, busy: Callable[[], bool]) -> Hearing:
    """The hearing of a worker that serves `queues`."""
    look_seconds = max(_LOOK_SECONDS_MIN, _LOOK_SWEEPS * conf.seconds("JOBS_SWEEP_SECONDS"))
    return Hearing(busy=busy, ring=lambda: bells.ring_waiting(queues), look_seconds=look_seconds)
