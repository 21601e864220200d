"""What has become of the jobs somebody waits for, found by origin or by dedupe key."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, Count, F, FloatField, Q, QuerySet, Sum, When
from django.db.models.functions import Cast, Coalesce

from jobs.models import UNFINISHED, Job, State


def unfinished_origins(origins: Collection[str]) -> set[str]:
    """Those of `origins` that a job still waits or runs for."""
    found = Job.objects.filter(origin__in=origins, state__in=UNFINISHED)
    return set(found.order_by().values_list("origin", flat=True).distinct())


@dataclass(frozen=True)
class Progress:
    """How far the jobs of an origin are; `done` counts the running ones by what they say of themselves."""

    ended: int = 0
    running: int = 0
    total: int = 0
    done: float = 0.0


def progress_by_origin(origins: Collection[str]) -> dict[str, Progress]:
    """How far the jobs of each of `origins` are, of those that have any."""
    begun = Q(state=State.RUNNING, progress_done__lte=F("progress_total"), progress_total__gt=0)
    share = Cast(F("progress_done"), FloatField()) / Cast(F("progress_total"), FloatField())
    found = (
        Job.objects.filter(origin__in=origins)
        .order_by()
        .values_list("origin")
        .annotate(
            ended=Count("pk", filter=~Q(state__in=UNFINISHED)),
            running=Count("pk", filter=Q(state=State.RUNNING)),
            total=Count("pk"),
            begun=Coalesce(Sum(Case(When(begun, then=share), output_field=FloatField())), 0.0),
        )
    )
    return {
        origin: Progress(ended=ended, running=running, total=total, done=ended + begun)
        for origin, ended, running, total, begun in found
    }


def failures_of_origin(origin: str, *, since: datetime) -> list[str]:
    """What went wrong in the jobs of `origin` that have failed since then, the earliest first."""
    return _errors(Job.objects.filter(origin=origin), since)


def failures_of_keys(keys: Collection[str], *, since: datetime) -> list[str]:
    """What went wrong in the jobs with these dedupe keys that have failed since then, the earliest first."""
    return _errors(Job.objects.filter(dedupe_key__in=keys), since)


def failure_of_last(origin: str) -> str | None:
    """What went wrong in the newest job of `origin`, None where it has not failed."""
    newest = Job.objects.filter(origin=origin).order_by("-pk").first()
    return _error(newest) if newest is not None and newest.state == State.FAILED else None


def _errors(jobs: QuerySet[Job], since: datetime) -> list[str]:
    failed = jobs.filter(state=State.FAILED, finished_at__gte=since).order_by("finished_at", "id")
    return [_error(job) for job in failed.only("pk", "error_message", "error_type")]


def _error(job: Job) -> str:
    return f"job {job.pk}: {job.error_message or job.error_type}"
