"""Each process that counts adds its counts to the database's, every few seconds and when it ends.

A process that is killed takes what it has counted since with it: some seconds of numbers, of no work.
"""

import atexit
import logging
import os
import threading
from typing import Final

from django.conf import settings
from django.db import close_old_connections, connection
from prometheus_client import CollectorRegistry

from common.described import describe
from common.monitoring import counts
from common.monitoring.counted import REGISTRY
from common.monitoring.counts import Key

logger = logging.getLogger(__name__)


class Publisher:
    """A thread; a process needs one."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self._pid: int | None = None
        self._published: dict[Key, float] = {}
        # Held whenever the registry is read: a process that forked meanwhile would find its locks taken for ever.
        self._reading = threading.Lock()
        self._publishing = threading.Lock()
        os.register_at_fork(
            before=self._reading.acquire, after_in_parent=self._reading.release, after_in_child=self._begin_anew
        )

    def start(self) -> None:
        """Begin, once a process: a forked one has no thread of its parent's."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            threading.Thread(target=self._run, name="publishing-counts", daemon=True).start()
            atexit.register(self.end)

    def publish(self) -> int:
        """Add what was counted since the last time; how many samples have changed. What the database raises passes."""
        with self._publishing:
            now = self._read()
            more = {key: value - self._published.get(key, 0.0) for key, value in now.items()}
            more = {key: value for key, value in more.items() if value}
            if more:
                counts.add(more)
                self._published = now
            return len(more)

    def end(self) -> None:
        """Publish what is left, in a process that has begun to; the database may be away."""
        if self._pid == os.getpid():
            self._try()

    def _read(self) -> dict[Key, float]:
        with self._reading:
            return counts.counted_here(self._registry)

    def _begin_anew(self) -> None:
        """In a forked process: what the parent has counted is the parent's to publish."""
        self._reading.release()
        self._publishing = threading.Lock()
        self._published = self._read()

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(settings.METRICS_PUBLISH_SECONDS):
            self._try()

    def _try(self) -> None:
        try:
            close_old_connections()
            self.publish()
        except Exception as error:  # noqa: BLE001 - the database may be away for a while: all of it comes the next time
            logger.warning("counts were not published: %s", describe(error).for_log())
        finally:
            # It is open for some milliseconds: an idle process holds no connection.
            if not connection.in_atomic_block:
                connection.close()


publisher: Final = Publisher()
