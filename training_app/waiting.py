"""Waiting for generations to end, without asking the database again and again.

Whoever ends a generation notifies PostgreSQL's channel `CHANNEL` with its id, in the transaction that records the end
(`training_app.generations`). One thread a process listens, over a connection of its own, and wakes those who wait
here. Where it cannot listen they look for themselves, once a second. A waiting request holds no connection.
"""

import logging
import os
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from django.conf import settings
from django.db import connection

from common import stopping
from jobs import errors
from training_app.generation_selectors import unended_generations
from training_app.generations import CHANNEL

logger = logging.getLogger(__name__)

MOST_SECONDS: Final = 60
"""The longest that a request may wait."""

# How often who waits looks for itself: where nobody listens, and where somebody does, in case a notice got lost.
_LOOK_SECONDS: Final = 1.0
_LOOK_SECONDS_HEARING: Final = 10.0
# The thread ends when nobody has waited for so long.
_IDLE_SECONDS: Final = 30.0
_RECONNECT_SECONDS: Final = 1.0
_NOTICES_SECONDS: Final = 1.0


def wait_for(generation_ids: Collection[int], *, seconds: float) -> bool:
    """Wait until all these generations (or previews) have ended, or are gone; False where that took too long.

    Looks at once and waits no longer than `seconds`, and not at all while `WAITING_REQUESTS` others of this process do.
    A process that is to stop waits a few seconds more at most (`common.stopping`).
    Call it outside of a transaction: what is committed later is not seen from inside.
    """
    with _listener.watching(generation_ids) as watch, _room(seconds) as seconds_left:
        until = time.monotonic() + seconds_left
        while True:
            hearing = _listener.hearing
            watch.look()
            left = min(until - time.monotonic(), stopping.seconds_left())
            if not watch.open or left <= 0:
                return not watch.open
            watch.wake.wait(min(left, _LOOK_SECONDS_HEARING if hearing else _LOOK_SECONDS))
            watch.wake.clear()
            if not watch.open:
                return True


def wait_paced(generation_ids: Collection[int], *, seconds: float) -> bool:
    """`wait_for` for loops: where too many wait already and it comes back at once, it takes a second all the same."""
    began = time.monotonic()
    ended = wait_for(generation_ids, seconds=seconds)
    if not ended:
        time.sleep(max(0.0, min(_LOOK_SECONDS, seconds) - (time.monotonic() - began)))
    return ended


def stop_listening() -> None:
    """End the listening thread and its connection; the next who waits starts another."""
    _listener.stop()


class _Watch:
    """What one caller waits for."""

    def __init__(self, generation_ids: Collection[int]) -> None:
        self.open = set(generation_ids)
        self.wake = threading.Event()

    def ended(self, generation_id: int) -> None:
        self.open.discard(generation_id)
        if not self.open:
            self.wake.set()

    def look(self) -> None:
        """Look into the database, and let go of the connection."""
        if self.open:
            self.open &= unended_generations(self.open.copy())
        if not connection.in_atomic_block:
            connection.close()


class _Listener:
    """The thread that hears which generations have ended, while anybody waits."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._watches: dict[int, set[_Watch]] = {}
        self._all: set[_Watch] = set()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        # Whether notices arrive; what ended before that was not heard of.
        self.hearing = False

    def after_fork(self) -> None:
        """The thread stayed with the parent."""
        self._reset()

    @contextmanager
    def watching(self, generation_ids: Collection[int]) -> Iterator[_Watch]:
        watch = _Watch(generation_ids)
        with self._lock:
            self._all.add(watch)
            for generation_id in watch.open:
                self._watches.setdefault(generation_id, set()).add(watch)
            # From inside a transaction nothing of what others commit is seen, however well one hears.
            if not connection.in_atomic_block:
                self._start()
        try:
            yield watch
        finally:
            with self._lock:
                self._all.discard(watch)
                for generation_id in generation_ids:
                    watches = self._watches.get(generation_id, set())
                    watches.discard(watch)
                    if not watches:
                        self._watches.pop(generation_id, None)

    def stop(self) -> None:
        thread = self._thread
        self._stop.set()
        if thread is not None:
            thread.join(_NOTICES_SECONDS + 5.0)

    def _start(self) -> None:
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="generations-listener", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._ends():
            try:
                self._listen()
            except Exception as problem:  # noqa: BLE001 - whoever waits looks for themselves meanwhile
                logger.warning("nobody listens for generations: %s", errors.describe(problem).for_log())
                self._stop.wait(_RECONNECT_SECONDS)
            finally:
                self.hearing = False

    def _listen(self) -> None:
        idle_since = time.monotonic()
        with psycopg.connect(**connection.get_connection_params(), autocommit=True) as heard:
            heard.execute(f"LISTEN {CHANNEL}")
            self.hearing = True
            self.wake_all()
            while not self._stop.is_set():
                for notice in heard.notifies(timeout=_NOTICES_SECONDS, stop_after=1):
                    self._tell(notice.payload)
                if self._all:
                    idle_since = time.monotonic()
                elif time.monotonic() - idle_since > _IDLE_SECONDS:
                    return

    def _ends(self) -> bool:
        with self._lock:
            ends = self._stop.is_set() or not self._all
            if ends:
                self._thread = None
        return ends

    def _tell(self, payload: str) -> None:
        for part in payload.split(","):
            with self._lock:
                watches = list(self._watches.get(int(part), ())) if part.isdecimal() else []
            for watch in watches:
                watch.ended(int(part))

    def wake_all(self) -> None:
        """Everybody looks once more: what ended before this process listened was not heard."""
        with self._lock:
            for watch in self._all:
                watch.wake.set()


_listener = _Listener()
os.register_at_fork(after_in_child=_listener.after_fork)
stopping.when_told(_listener.wake_all)
_waiting = threading.BoundedSemaphore(max(1, settings.WAITING_REQUESTS))


@contextmanager
def _room(seconds: float) -> Iterator[float]:
    """The seconds that a caller may wait: none where too many do, so that threads are left for other requests."""
    has_room = seconds > 0 and settings.WAITING_REQUESTS > 0 and _waiting.acquire(blocking=False)
    try:
        yield seconds if has_room else 0.0
    finally:
        if has_room:
            _waiting.release()
