"""Beat's own thread, which sweeps every few seconds.

In beat's process and not as a task: a task would wait in a queue behind the very jobs whose leases it looks after.
"""

import logging
import threading
import time
from typing import Final

from django.db import close_old_connections, connection

from jobs import conf, errors, services

logger = logging.getLogger(__name__)

_PURGE_EVERY_SECONDS: Final = 3600.0


class Sweeper:
    """Sweeps until `stop`; what goes wrong is logged, and the next sweep tries again."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobs-sweeper", daemon=True)
        self._purge_at = time.monotonic()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, *, timeout: float = 10.0) -> None:
        """End after the sweep that is under way."""
        self._stop.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            self._sweep()
            if self._stop.wait(conf.seconds("JOBS_SWEEP_SECONDS")):
                break
        connection.close()

    def _sweep(self) -> None:
        try:
            close_old_connections()
            services.sweep()
            if time.monotonic() >= self._purge_at:
                self._purge_at = time.monotonic() + _PURGE_EVERY_SECONDS
                services.purge()
        except Exception as exc:  # noqa: BLE001 - the database may be away for a while
            logger.error("a sweep failed: %s", errors.describe(exc).for_log())
            connection.close()
