"""The rows: one job, and one worker that has said it is alive.

What a state means is kept by the database, so that no code path, console or script can store nonsense. Rows change
through `jobs.services` (from outside) and `jobs.claims` (from the worker that holds the claim) alone.
"""

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from jobs.clock import ClockTimestamp


class State(models.TextChoices):
    """Where a job stands. A failed attempt that may be repeated is `waiting` again."""

    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


UNFINISHED = (State.WAITING, State.RUNNING)
FINISHED = (State.DONE, State.FAILED, State.CANCELLED)


class Job(models.Model):
    """One piece of work with one recorded effect, however often it is attempted."""

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=100)
    payload = models.JSONField(default=dict)
    workspace_id = models.BigIntegerField(null=True, blank=True)
    end_user_id = models.BigIntegerField(null=True, blank=True)
    origin = models.CharField(
        max_length=200, blank=True, default="", help_text="Who asked, e.g. “run:12”; that one hears when a batch ended."
    )
    priority = models.SmallIntegerField(default=0, help_text="Higher goes first.")
    dedupe_key = models.CharField(max_length=200, null=True, blank=True)
    batch_key = models.CharField(
        max_length=200, blank=True, default="", help_text="Jobs of one batch share it; holds the kind's name too."
    )
    alone = models.BooleanField(
        default=False, help_text="Ran badly in a batch: is claimed by itself, so that it cannot spoil others again."
    )

    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    available_at = models.DateTimeField(db_default=ClockTimestamp(), help_text="Not claimed before this.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Counted when a worker claims the job.")
    max_attempts = models.PositiveSmallIntegerField(default=3)

    claim = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    # No constraint: a worker may claim before its own first heartbeat is written, and its row goes before the job.
    worker = models.ForeignKey(
        "Worker", on_delete=models.DO_NOTHING, null=True, blank=True, db_constraint=False, db_index=False
    )
    cancel_requested = models.BooleanField(default=False)

    progress_done = models.BigIntegerField(null=True, blank=True)
    progress_total = models.BigIntegerField(null=True, blank=True)
    progress_message = models.CharField(max_length=200, blank=True, default="")

    result = models.JSONField(null=True, blank=True)
    error_type = models.CharField(max_length=200, blank=True, default="")
    error_message = models.CharField(max_length=500, blank=True, default="")
    error_trace = models.TextField(blank=True, default="")

    created_at = models.DateTimeField(db_default=ClockTimestamp())
    started_at = models.DateTimeField(null=True, blank=True, help_text="When the last attempt began.")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(name="job_state_known", condition=Q(state__in=State.values)),
            models.CheckConstraint(
                name="job_running_has_claim",
                condition=Q(
                    state=State.RUNNING, claim__isnull=False, lease_until__isnull=False, started_at__isnull=False
                )
                | (~Q(state=State.RUNNING) & Q(claim__isnull=True, lease_until__isnull=True)),
            ),
            models.CheckConstraint(
                name="job_finished_has_time",
                condition=Q(state__in=FINISHED, finished_at__isnull=False)
                | Q(state__in=UNFINISHED, finished_at__isnull=True),
            ),
            models.CheckConstraint(
                name="job_attempts_bounded",
                condition=Q(max_attempts__gte=1, attempts__gte=0, attempts__lte=F("max_attempts")),
            ),
            models.CheckConstraint(
                name="job_waiting_may_be_attempted",
                condition=~Q(state=State.WAITING) | Q(attempts__lt=F("max_attempts")),
            ),
            models.CheckConstraint(
                name="job_running_was_attempted",
                condition=~Q(state__in=(State.RUNNING, State.DONE)) | Q(attempts__gte=1),
            ),
            models.CheckConstraint(
                name="job_cancel_requested_of_running",
                condition=Q(cancel_requested=False) | Q(state__in=(State.RUNNING, State.CANCELLED)),
            ),
            models.CheckConstraint(name="job_result_of_done", condition=Q(result__isnull=True) | Q(state=State.DONE)),
            models.CheckConstraint(name="job_failed_has_error", condition=~Q(state=State.FAILED) | ~Q(error_type="")),
            models.CheckConstraint(
                name="job_progress_not_negative",
                condition=(Q(progress_done__isnull=True) | Q(progress_done__gte=0))
                & (Q(progress_total__isnull=True) | Q(progress_total__gte=0)),
            ),
            models.CheckConstraint(name="job_kind_named", condition=~Q(kind="")),
            models.CheckConstraint(name="job_dedupe_key_not_empty", condition=~Q(dedupe_key="")),
            models.UniqueConstraint(
                name="job_dedupe_unfinished",
                fields=["dedupe_key"],
                condition=Q(state__in=UNFINISHED, dedupe_key__isnull=False),
            ),
        ]
        indexes: ClassVar = [
            # The order of claims. Only waiting rows stand in it, so it stays small however many jobs are done.
            models.Index(
                "kind", F("priority").desc(), "available_at", "id",
                name="job_claim_order", condition=Q(state=State.WAITING),
            ),
            models.Index(
                "batch_key", F("priority").desc(), "available_at", "id",
                name="job_batch_order", condition=Q(state=State.WAITING) & ~Q(batch_key=""),
            ),
            # By id, not by lease: a heartbeat then touches no index.
            models.Index("id", name="job_running", condition=Q(state=State.RUNNING)),
            models.Index("origin", "state", name="job_of_origin", condition=~Q(origin="")),
            models.Index("workspace_id", "id", name="job_of_workspace", condition=Q(workspace_id__isnull=False)),
            models.Index("finished_at", name="job_finished", condition=Q(finished_at__isnull=False)),
            # Of which there are few, among many that went well.
            models.Index("finished_at", name="job_failed", condition=Q(state=State.FAILED)),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class Worker(models.Model):
    """A Celery worker as it says of itself; a beating heart is what liveness is read from, no `inspect`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    hostname = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    pool = models.CharField(max_length=30, blank=True, default="")
    queues = ArrayField(models.CharField(max_length=50), default=list)
    concurrency = models.PositiveIntegerField(default=1)
    stopping = models.BooleanField(default=False, help_text="Was asked to stop: claims nothing more.")
    started_at = models.DateTimeField(db_default=ClockTimestamp())
    heartbeat_at = models.DateTimeField(db_default=ClockTimestamp())
    stopped_at = models.DateTimeField(null=True, blank=True)
    lost = models.BooleanField(default=False, help_text="Fell silent without saying goodbye.")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="worker_lost_is_stopped", condition=Q(lost=False) | Q(stopped_at__isnull=False)
            ),
        ]  # fmt: skip
        indexes: ClassVar = [models.Index("heartbeat_at", name="worker_heartbeat")]

    def __str__(self) -> str:
        return f"{self.hostname} {self.pid}"
