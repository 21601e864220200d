"""Reading jobs and workers."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, DurationField, ExpressionWrapper, F, QuerySet, Sum
from django.db.models.functions import Coalesce

from jobs import conf
from jobs.clock import ClockTimestamp
from jobs.models import UNFINISHED, Job, State, Worker


def is_to_be_cancelled(job_id: int) -> bool:
    """Whether somebody asked that this job end, as the database says in this moment."""
    return Job.objects.filter(pk=job_id, cancel_requested=True).exists()


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many jobs stand in each state, and the sums of the running ones' own progress."""

    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    progress_done: int = 0
    progress_total: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.waiting + self.running + self.finished

    @property
    def finished(self) -> int:
        """Those that will not run again by themselves."""
        return self.done + self.failed + self.cancelled

    @property
    def unfinished(self) -> int:
        """Those that wait or run."""
        return self.waiting + self.running


def jobs_of(*, origin: str | None = None, ids: Collection[int] | None = None) -> QuerySet[Job]:
    """The jobs of one origin, or of these ids."""
    if (origin is None) == (ids is None) or origin == "":
        raise ValueError("name either an origin or ids")
    return Job.objects.filter(origin=origin) if origin is not None else Job.objects.filter(pk__in=ids or [])


def count_jobs(*, origin: str | None = None, ids: Collection[int] | None = None) -> Counts:
    """Where the jobs of an origin, or of these ids, stand."""
    rows = (
        jobs_of(origin=origin, ids=ids)
        .order_by()
        .values("state")
        .annotate(n=Count("pk"), done=Coalesce(Sum("progress_done"), 0), total=Coalesce(Sum("progress_total"), 0))
    )
    by_state = {row["state"]: row for row in rows}
    running = by_state.get(State.RUNNING)
    return Counts(
        **{str(state): by_state[state]["n"] for state in State.values if state in by_state},
        progress_done=running["done"] if running else 0,
        progress_total=running["total"] if running else 0,
    )


def unfinished_jobs(*, origin: str | None = None, ids: Collection[int] | None = None) -> QuerySet[Job]:
    """Those of an origin, or of these ids, that wait or run."""
    return jobs_of(origin=origin, ids=ids).filter(state__in=UNFINISHED)


def live_workers(queue: str | None = None) -> QuerySet[Worker]:
    """The workers whose heart beats and that were not told to stop; of one queue, or all."""
    workers = Worker.objects.annotate(
        silent=ExpressionWrapper(ClockTimestamp() - F("heartbeat_at"), output_field=DurationField())
    ).filter(
        stopped_at__isnull=True,
        stopping=False,
        silent__lt=timedelta(seconds=conf.seconds("JOBS_WORKER_SILENT_SECONDS")),
    )
    return workers if queue is None else workers.filter(queues__contains=[queue])


def unserved_queues(queues: Collection[str]) -> list[str]:
    """Those of `queues` that no live worker serves."""
    served = {queue for worker in live_workers() for queue in worker.queues}
    return [queue for queue in queues if queue not in served]
