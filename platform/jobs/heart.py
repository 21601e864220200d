"""One thread a process that keeps alive what the process holds, over a connection of its own in autocommit.

It extends the leases of the claims held here, writes their progress, learns what was cancelled or lost and, in the
worker's own process, keeps the worker's row. The handler's open transaction hides none of this. The thread starts
with the first claim and ends, with its connection, when the process holds nothing and is nobody's worker.

A gentle stop: Celery tells the worker's main process alone, in a signal handler. It notes the moment in memory that the
pool's processes share, so that they stop even where the database is away; the thread writes it to the worker's row, and
no more is claimed. What still runs after JOBS_STOP_FORCE_SECONDS is given back, and soon after that its process ends.
"""

import logging
import mmap
import os
import signal
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from django.db import DatabaseError, InterfaceError, connection

from jobs import claims, conf, errors, nodes

if TYPE_CHECKING:
    from jobs.batches import ClaimedJob
    from jobs.hearing import Hearing

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.2
# From when what is held goes back by force until the process ends. A handler that looks up notices meanwhile.
_LAST_SECONDS: Final = 3.0

# The rows are locked against nobody but another end of the same claim; one that is just being finished is passed over.
_BEAT: Final = """
    UPDATE jobs_job AS j
       SET lease_until = clock_timestamp() + make_interval(secs => h.lease),
           progress_done = h.done, progress_total = h.total, progress_message = h.message
      FROM (SELECT held.* FROM unnest(%s::bigint[], %s::uuid[], %s::float8[], %s::bigint[], %s::bigint[], %s::text[])
                   AS held (id, claim, lease, done, total, message)
              JOIN jobs_job AS mine ON mine.id = held.id AND mine.claim = held.claim AND mine.state = 'running'
               FOR NO KEY UPDATE OF mine SKIP LOCKED) AS h
     WHERE j.id = h.id
"""
_LOOK: Final = "SELECT id, claim, cancel_requested FROM jobs_job WHERE id = ANY(%s)"


class _SharedMoment:
    """A moment that a process and those that it forks know of as soon as any of them notes it."""

    _AS: Final = struct.Struct("d")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, self._AS.size)

    def note(self) -> None:
        """It is now, by the machine's monotonic clock. Takes no lock."""
        self._AS.pack_into(self._memory, 0, time.monotonic())

    @property
    def at(self) -> float | None:
        """When it was, None where it has not come."""
        return self._AS.unpack_from(self._memory, 0)[0] or None


class Heart:
    """The heart of this process; there is one, `heart`."""

    def __init__(self) -> None:
        self._stop = _SharedMoment()
        self.worker_id: uuid.UUID | None = None
        # What its worker serves; empty where there is none.
        self.queues: tuple[str, ...] = ()
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._held: dict[int, ClaimedJob] = {}
        self._thread: threading.Thread | None = None
        self._node: nodes.Node | None = None
        self._on_first_beat: Callable[[], object] | None = None
        self._hearing: Hearing | None = None
        self._deaf = False
        self._leave = False
        self._stop_written = False

    def after_fork(self) -> None:
        """A pool's process: the same worker, another heart."""
        self._reset()

    # -- what the process tells it

    def serve(
        self,
        node: nodes.Node,
        *,
        on_first_beat: Callable[[], object] | None = None,
        hearing: "Hearing | None" = None,
    ) -> None:
        """Keep the row of the worker whose main process this is, until `leave`; end it should it be deaf."""
        with self._lock:
            self.worker_id = node.id
            self._node = node
            self._on_first_beat = on_first_beat
            self._hearing = hearing
            self._leave = False
            self._start()

    def leave(self, *, timeout: float = 5.0) -> None:
        """Say that the worker has stopped, and end the thread."""
        self._leave = True
        thread = self._thread
        if thread is not None:
            self._wake.set()
            thread.join(timeout)

    def request_stop(self) -> None:
        """A gentle stop has begun. Called from a signal handler: takes no lock, opens nothing."""
        if self._stop.at is None:
            self._stop.note()

    @property
    def stopping(self) -> bool:
        """Whether this worker was asked to stop."""
        return self._stop.at is not None

    @property
    def grace_over(self) -> bool:
        """Whether what still runs should be given back now."""
        asked = self._stop.at
        return asked is not None and time.monotonic() - asked >= conf.seconds("JOBS_STOP_GRACE_SECONDS")

    def hold(self, jobs: Iterable["ClaimedJob"]) -> None:
        """Extend these jobs' leases from now on."""
        with self._lock:
            self._start()
            self._held.update((job.id, job) for job in jobs)

    def release(self, jobs: Iterable["ClaimedJob"]) -> None:
        """Hold these no longer."""
        with self._lock:
            for job in jobs:
                self._held.pop(job.id, None)
            if not self._held:
                self._wake.set()

    def holds(self) -> int:
        """How many claims this process holds."""
        return len(self._held)

    # -- the thread

    def _start(self) -> None:
        if self._thread is None:
            self._wake.clear()
            # A thread that the system refuses is none: what it should have kept alive is let go, and it is tried again.
            thread = threading.Thread(target=self._run, name="jobs-heart", daemon=True)
            thread.start()
            self._thread = thread

    def _run(self) -> None:
        beat_at = written_at = time.monotonic() if self._node is None else float("-inf")
        while not self._ends():
            now = time.monotonic()
            asked = self.stopping and not self._stop_written
            dirty = now - written_at >= conf.seconds("JOBS_PROGRESS_SECONDS") and self._progress_to_write()
            if now - beat_at >= self._period() or asked or dirty:
                beat_at = written_at = now
                self._try_to_beat()
            if self._force_over(by=_LAST_SECONDS) and (self._deaf or self._held):
                self._end()
            self._wake.wait(POLL_SECONDS)
            self._wake.clear()
        connection.close()

    def _ends(self) -> bool:
        with self._lock:
            node = self._node
            ends = self._leave or (not self._held and node is None)
            if ends:
                self._thread = None
        if self._leave and node is not None:
            try:
                nodes.goodbye(node)
            except (DatabaseError, InterfaceError) as exc:
                logger.warning("could not say goodbye: %s", errors.describe(exc).for_log())
        return ends

    def _period(self) -> float:
        with self._lock:
            leases = [job.kind.lease_seconds for job in self._held.values()]
        return min([conf.seconds("JOBS_HEARTBEAT_SECONDS"), *(lease / 4 for lease in leases)])

    def _progress_to_write(self) -> bool:
        with self._lock:
            return any(job.progress_unwritten for job in self._held.values())

    def _try_to_beat(self) -> None:
        try:
            self._beat()
        except Exception as exc:  # noqa: BLE001 - a heart that stops beating loses all it holds
            # The database may be away for a while: leases run out then, and the next beat finds that out.
            logger.warning("a heartbeat failed: %s", errors.describe(exc).for_log())
            connection.close()

    def _beat(self) -> None:
        stopping = self.stopping
        if self._node is not None:
            nodes.beat(self._node, stopping=stopping)
            if self._on_first_beat is not None:
                first, self._on_first_beat = self._on_first_beat, None
                first()
            self._listen()
        self._stop_written = stopping
        with self._lock:
            held = list(self._held.values())
        if not held:
            return
        self._extend(held)
        if self._force_over():
            for job in held:
                claims.give_back(job.id, job.claim)
                job.lost = True

    def _listen(self) -> None:
        """End this worker where it is deaf: whoever keeps it running starts one that hears."""
        if self._hearing is None or self.stopping or not self._hearing.is_deaf():
            return
        logger.error("this worker hears no bell while jobs wait and the broker takes bells: it stops")
        # From now on it does not count as live, even if the main thread hangs and never sees the signal.
        self._deaf = True
        self.request_stop()
        os.kill(os.getpid(), signal.SIGTERM)

    def _extend(self, held: list["ClaimedJob"]) -> None:
        written = [job.take_progress() for job in held]
        with connection.cursor() as cursor:
            cursor.execute(
                _BEAT,
                [
                    [job.id for job in held],
                    [job.claim for job in held],
                    [job.kind.lease_seconds for job in held],
                    [p.done for p in written],
                    [p.total for p in written],
                    [p.message for p in written],
                ],
            )
            cursor.execute(_LOOK, [[job.id for job in held]])
            found = {row[0]: (row[1], row[2]) for row in cursor.fetchall()}
        for job in held:
            claim, cancel_requested = found.get(job.id, (None, False))
            if claim != job.claim:
                job.lost = True
            elif cancel_requested:
                job.cancel_requested = True

    def _force_over(self, *, by: float = 0.0) -> bool:
        asked = self._stop.at
        return asked is not None and time.monotonic() - asked >= conf.seconds("JOBS_STOP_FORCE_SECONDS") + by

    def _end(self) -> None:
        """End this process: its handler does not look up. Nothing is lost by it, as nothing is by a kill."""
        logger.error("this process was to stop and a handler in it goes on: it ends now")
        os._exit(1)


heart = Heart()
os.register_at_fork(after_in_child=heart.after_fork)
