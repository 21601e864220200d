"""What staff see of jobs and workers. Payloads may hold or name users' text: only their keys are shown."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.decorators import display

from common.admin import InstallationAdmin, ReadOnlyAdmin
from common.admin_filters import choice_filter
from common.workspace_access import RESEARCHER, granted_rows, workspaces_granted
from jobs import beat_admin as beat_admin
from jobs import kinds, services
from jobs.models import Job, State, Worker
from jobs.queues import queue_standings
from jobs.selectors import live_workers

_COLORS = {"waiting": "warning", "running": "info", "done": "success", "failed": "danger", "cancelled": "default"}
_MOST_WORKERS = 100

# What one comes to first; its name is its own, since templates of the admin's looks come before those of apps.
admin.site.index_template = "admin/dashboard.html"
admin.site.index_title = "Overview"


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the first page shows besides: how the queues stand, for whoever may see some jobs."""
    granted = workspaces_granted(request)
    if granted is None or granted:
        context |= {"queues": queue_standings(workspace_ids=granted), "now": timezone.now()}
    return context


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """List, look into, cancel and retry; and how the queues stand."""

    list_display = (
        "id", "kind", "standing", "progress", "attempts", "priority", "origin", "workspace_id", "created_at",
        "finished_at",
    )  # fmt: skip
    list_filter = (
        "state",
        choice_filter("kind", title="kind", choices=lambda request: [(k.name, k.name) for k in kinds.all_kinds()]),
        "created_at",
    )
    search_fields = ("pk", "origin__startswith", "end_user_id", "workspace_id")
    search_help_text = "A job's, workspace's or end user's number, or the beginning of an origin."
    ordering = ("-id",)
    list_select_related = False
    least_role_to_change = RESEARCHER
    actions = ("cancel_jobs", "retry_jobs")
    fields = (
        "kind", "standing", "origin", "workspace_id", "end_user_id", "payload_keys", "result_keys", "priority",
        "dedupe_key", "progress", "attempts", "max_attempts", "available_at", "claim", "lease_until", "worker",
        "cancel_requested", "created_at", "started_at", "finished_at", "error_type", "error_message", "error_trace",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        """Without what the list does not show."""
        rows = super().get_queryset(request)
        detail = request.resolver_match is not None and "object_id" in request.resolver_match.kwargs
        return rows if detail else rows.defer("payload", "result", "error_trace")

    def get_urls(self) -> list[URLPattern]:
        queues = path("queues/", self.admin_site.admin_view(self.queues), name="queues")
        return [queues, *super().get_urls()]

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whether the actions are for whoever asks."""
        return self.granted(request, role=self.least_role_to_change)

    @display(description="State", label=_COLORS)
    def standing(self, job: Job) -> str:
        """Where it stands, as a word in a colour."""
        return job.state

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

    @admin.action(description="Cancel the selected jobs", permissions=["run"])
    def cancel_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Cancel what has not ended."""
        unfinished = self._theirs(request, queryset).filter(state__in=(State.WAITING, State.RUNNING))
        outcome = services.cancel(*unfinished.values_list("pk", flat=True))
        self.message_user(
            request,
            f"{outcome.cancelled} cancelled; {outcome.requested} running ones will end when they next check.",
            messages.SUCCESS,
        )

    @admin.action(description="Run the selected failed or cancelled jobs again", permissions=["run"])
    def retry_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Run again what failed or was cancelled."""
        count = services.retry(*self._theirs(request, queryset).values_list("pk", flat=True))
        self.message_user(request, f"{count} will run again.", messages.SUCCESS)

    def _theirs(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        """Those that whoever asks may cancel and retry: each kind says which role that takes."""
        rows = self.changeable(request, queryset)
        for kind in kinds.all_kinds():
            if kind.least_role != self.least_role_to_change:
                allowed = self.changeable(request, queryset, role=kind.least_role)
                rows = rows.exclude(Q(kind=kind.name) & ~Q(pk__in=allowed.values("pk")))
        return rows

    def queues(self, request: HttpRequest) -> HttpResponse:
        """The page of the queues: of the jobs that whoever asks may see. Workers are the installation's."""
        granted = workspaces_granted(request)
        running = granted_rows(Job.objects.filter(state=State.RUNNING), request).defer("payload", "result")
        context = {
            **self.admin_site.each_context(request),
            "title": "Queues",
            "queues": queue_standings(workspace_ids=granted),
            "running": running.order_by("-id")[: self.list_per_page],
            "workers": None if granted is not None else live_workers().order_by("hostname", "pid")[:_MOST_WORKERS],
            "now": timezone.now(),
        }
        return TemplateResponse(request, "admin/jobs/queues.html", context)


@admin.register(Worker)
class WorkerAdmin(InstallationAdmin):
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
    search_fields = ("hostname__icontains",)
    ordering = ("-heartbeat_at",)
    fields = ("id", *list_display)
    readonly_fields = fields
    actions = None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
