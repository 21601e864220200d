"""What staff see of jobs and workers. Payloads may hold or name users' text: only their keys are shown."""

from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin

from jobs import services
from jobs.models import Job, State, Worker

_MOST_COUNTED = 10_000


class BoundedPaginator(Paginator):
    """Counts no further than the pages that somebody would turn to: the table may hold millions."""

    @cached_property
    def count(self) -> int:
        """The number of rows, at most 10,000."""
        rows = self.object_list
        return rows.order_by()[:_MOST_COUNTED].count() if isinstance(rows, QuerySet) else len(rows)


class ReadOnlyAdmin(ModelAdmin):
    """Rows are looked at here and changed by services alone."""

    paginator = BoundedPaginator
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody adds rows by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Retention deletes; nobody does so by hand."""
        return False


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """List, look into, cancel and retry."""

    list_display = (
        "id", "kind", "state", "progress", "attempts", "priority", "origin", "workspace_id", "created_at",
        "finished_at",
    )  # fmt: skip
    list_filter = ("state", "kind", "created_at")
    search_fields = ("=id", "origin__startswith", "=end_user_id", "=workspace_id")
    search_help_text = "A job's, workspace's or end user's number, or the beginning of an origin."
    ordering = ("-id",)
    list_per_page = 50
    list_select_related = False
    actions = ("cancel_jobs", "retry_jobs")
    fields = (
        "kind", "state", "origin", "workspace_id", "end_user_id", "payload_keys", "result_keys", "priority",
        "dedupe_key", "progress", "attempts", "max_attempts", "available_at", "claim", "lease_until", "worker",
        "cancel_requested", "created_at", "started_at", "finished_at", "error_type", "error_message", "error_trace",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        """Without what the list does not show."""
        rows = super().get_queryset(request)
        detail = request.resolver_match is not None and "object_id" in request.resolver_match.kwargs
        return rows if detail else rows.defer("payload", "result", "error_trace")

    @admin.display(description="Progress")
    def progress(self, job: Job) -> str:
        """Done, total and message, as far as they are known."""
        total = "" if job.progress_total is None else f" / {job.progress_total}"
        done = "" if job.progress_done is None else f"{job.progress_done}{total} "
        return f"{done}{job.progress_message}".strip() or "-"

    @admin.display(description="Payload (keys only)")
    def payload_keys(self, job: Job) -> str:
        """The names in the payload."""
        return ", ".join(sorted(job.payload)) or "-"

    @admin.display(description="Result (keys only)")
    def result_keys(self, job: Job) -> str:
        """The names in the result."""
        return ", ".join(sorted(job.result or {})) or "-"

    @admin.action(description="Cancel the selected jobs", permissions=["change"])
    def cancel_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Cancel what has not ended."""
        unfinished = queryset.filter(state__in=(State.WAITING, State.RUNNING)).values_list("pk", flat=True)
        outcome = services.cancel(*unfinished)
        self.message_user(
            request,
            f"{outcome.cancelled} cancelled; {outcome.requested} running ones will end when they next check.",
            messages.SUCCESS,
        )

    @admin.action(description="Run the selected failed or cancelled jobs again", permissions=["change"])
    def retry_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Run again what failed or was cancelled."""
        count = services.retry(*queryset.values_list("pk", flat=True))
        self.message_user(request, f"{count} will run again.", messages.SUCCESS)


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Who serves which queue, and who fell silent."""

    list_display = (
        "hostname",
        "pid",
        "queues",
        "pool",
        "concurrency",
        "started_at",
        "heartbeat_at",
        "stopping",
        "stopped_at",
        "lost",
    )
    list_filter = ("lost", "stopping")
    search_fields = ("hostname",)
    ordering = ("-heartbeat_at",)
    fields = ("id", *list_display)
    readonly_fields = fields
