"""Each process of a worker forgets what was erased, within seconds and whether it works or idles.

Whoever erases is in another process. The receipts say whether anything was erased since the last look; what it was, the
caches find out by themselves (`users_app.caches`): a receipt names nobody. Once a minute they look without being told,
since adapters are also deleted or withdrawn by themselves, which leaves no receipt.
"""

import logging
import os
import threading
import time
from typing import Final

from django.db import close_old_connections, connection

from jobs import errors
from users_app import caches
from users_app.selectors import erasures_so_far

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 5.0
_UNTOLD_SECONDS: Final = 60.0


class Forgetting:
    """A thread that looks every few seconds; a process needs one."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._seen: tuple[int | None, int] = (None, 0)
        self._again = False
        self._forgot = time.monotonic()

    def start(self) -> None:
        """Begin, once a process: a forked one has no thread of its parent's."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            threading.Thread(target=self._run, name="forgetting", daemon=True).start()

    def look(self) -> None:
        """Forget if there is an erasure that was not seen yet, and once more at the next look; untold once a minute.

        What was being fetched when the rows went may have come after the first.
        """
        so_far = erasures_so_far()
        new = so_far != self._seen
        if new or self._again or time.monotonic() - self._forgot >= _UNTOLD_SECONDS:
            caches.forget_gone()
            self._forgot = time.monotonic()
        self._seen, self._again = so_far, new

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            try:
                close_old_connections()
                self.look()
            except Exception as error:  # noqa: BLE001 - the database may be away for a while
                logger.warning("nothing was forgotten: %s", errors.describe(error).for_log())
            # It is open for some milliseconds: an idle process holds no connection.
            connection.close()
            pause.wait(_LOOK_SECONDS)


forgetting = Forgetting()
