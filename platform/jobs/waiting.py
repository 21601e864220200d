"""How a command waits for its jobs: it looks into the table."""

import time
from collections.abc import Callable, Collection
from typing import Final

from django.db import close_old_connections

from jobs import kinds, selectors
from jobs.models import Job
from jobs.selectors import Counts

_NO_WORKER_SECONDS: Final = 60.0


class NoLiveWorker(RuntimeError):
    """Jobs wait, and nobody is there to run them."""

    safe_message = True


class TookTooLong(TimeoutError):
    """The jobs have not ended within the time given."""

    safe_message = True


def wait_for(
    *,
    origin: str | None = None,
    ids: Collection[int] | None = None,
    on_progress: Callable[[Counts, list[Job]], None] | None = None,
    poll_seconds: float = 0.5,
    timeout: float | None = None,
    no_worker_seconds: float = _NO_WORKER_SECONDS,
) -> Counts:
    """Wait until all jobs of an origin, or of these ids, have ended; how they ended.

    At every look `on_progress` is given the counts and the running jobs (with their own progress; up to 20). Raises
    TookTooLong after `timeout`, NoLiveWorker where nothing runs and no worker has been alive for `no_worker_seconds`.
    """
    started = served = time.monotonic()
    while True:
        close_old_connections()
        counts = selectors.count_jobs(origin=origin, ids=ids)
        now = time.monotonic()
        if on_progress is not None:
            running = selectors.jobs_of(origin=origin, ids=ids).filter(state="running").order_by("pk")
            on_progress(counts, list(running[:20]) if counts.running else [])
        if not counts.unfinished:
            return counts
        if timeout is not None and now - started > timeout:
            raise TookTooLong(f"{counts.unfinished} jobs have not ended within {timeout:.0f} s")
        if counts.running or _served(origin=origin, ids=ids):
            served = now
        elif now - served > no_worker_seconds:
            raise NoLiveWorker(
                f"{counts.unfinished} jobs wait and no worker serves their queue; is `make serve` running?"
            )
        time.sleep(poll_seconds)


def _served(*, origin: str | None, ids: Collection[int] | None) -> bool:
    """Whether a live worker serves the queue of any of them that waits."""
    names = selectors.unfinished_jobs(origin=origin, ids=ids).order_by().values_list("kind", flat=True).distinct()
    known = {kind.name: kind.queue for kind in kinds.all_kinds()}
    queues = {known[name] for name in names if name in known}
    return len(selectors.unserved_queues(queues)) < len(queues)
