"""Jobs of a workspace: what became of work that takes a while."""

import time
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from common import stopping
from common.api.event_stream import (
    DESCRIBED,
    KEEP_ALIVE,
    KEEP_ALIVE_SECONDS,
    MEDIA_TYPE,
    EventStream,
    EventStreamRenderer,
    NoEvents,
    event,
)
from common.api.pagination import PageQuery, page_schema
from common.api.problems import Problem, found_or_404
from common.api.serializers import ChoiceField, StringField
from jobs.models import FINISHED, Job, State
from jobs.services import cancel
from users_app.api.base import WorkspaceView
from users_app.job_selectors import jobs_of_workspace
from users_app.models import Scope

_LOOK_SECONDS: Final = 0.5


class ProgressSerializer(serializers.Serializer):
    """How far a job is, by its own count."""

    done = serializers.IntegerField(source="progress_done", allow_null=True, read_only=True)
    total = serializers.IntegerField(source="progress_total", allow_null=True, read_only=True)
    message = serializers.CharField(source="progress_message", read_only=True)


class JobErrorSerializer(serializers.Serializer):
    """Why the last attempt failed. Messages that could quote a user's text are withheld."""

    type = serializers.CharField(source="error_type", read_only=True)
    message = serializers.CharField(source="error_message", read_only=True)


class JobSerializer(serializers.Serializer):
    """One piece of work, which has one recorded effect however often it is attempted."""

    id = serializers.IntegerField(read_only=True)
    kind = serializers.CharField(read_only=True)
    state = serializers.ChoiceField(choices=State.choices, read_only=True)
    user = serializers.CharField(allow_null=True, read_only=True, help_text="The end user that it is about.")
    progress = ProgressSerializer(source="*", read_only=True)
    attempts = serializers.IntegerField(read_only=True)
    max_attempts = serializers.IntegerField(read_only=True)
    cancel_requested = serializers.BooleanField(read_only=True)
    result = serializers.DictField(allow_null=True, read_only=True)
    error = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField(read_only=True)
    started_at = serializers.DateTimeField(allow_null=True, read_only=True, help_text="When the last attempt began.")
    finished_at = serializers.DateTimeField(allow_null=True, read_only=True)

    @extend_schema_field(JobErrorSerializer(allow_null=True))
    def get_error(self, job: Job) -> dict[str, Any] | None:
        return JobErrorSerializer(job).data if job.error_type else None


class JobFilters(PageQuery):
    """Which jobs to list."""

    state = ChoiceField(choices=State.choices, required=False, help_text="Those that stand so.")
    kind = StringField(required=False, max_length=100, help_text="Those of this kind.")
    user = StringField(required=False, max_length=255, help_text="Those about this end user.")


def job_json(job: Job) -> dict[str, Any]:
    """A job of `jobs_of_workspace` as the API shows it."""
    return JobSerializer(job).data


class _JobView(WorkspaceView):
    def jobs(self) -> QuerySet[Job]:
        """The workspace's jobs."""
        return jobs_of_workspace(workspace=self.workspace)

    def job_or_404(self, job_id: int) -> Job:
        """The workspace's job of that id; raises `Problem` 404."""
        return found_or_404(self.jobs().filter(pk=job_id).first())


class JobsView(_JobView):
    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(operation_id="list_jobs", parameters=[JobFilters], responses=page_schema(JobSerializer, name="Job"))
    def get(self, request: Request) -> Response:
        """List jobs, the newest first."""
        query = self.query(JobFilters)
        asked = {name: query[name] for name in ("state", "kind", "user") if name in query}
        return self.page(self.jobs().filter(**asked), order=("-id",), render=job_json, query=query)


class JobView(_JobView):
    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(operation_id="get_job", responses=JobSerializer)
    def get(self, request: Request, job_id: int) -> Response:
        """Look at a job."""
        return Response(job_json(self.job_or_404(job_id)))


class JobCancellationView(_JobView):
    scopes: ClassVar = {"POST": Scope.MANAGE}

    @extend_schema(
        operation_id="cancel_job",
        request=None,
        responses={
            200: OpenApiResponse(JobSerializer, "It is cancelled."),
            202: OpenApiResponse(JobSerializer, "It runs, and ends when it next looks whether it shall."),
            409: OpenApiResponse(description="It has ended otherwise (`job-not-cancellable`)."),
        },
    )
    def post(self, request: Request, job_id: int) -> Response:
        """Cancel a job. Doing so again changes nothing."""
        cancel(self.job_or_404(job_id).pk)
        job = self.job_or_404(job_id)
        if job.state in (State.DONE, State.FAILED):
            raise Problem(
                409, "job-not-cancellable", f"The job is {job.state} and cannot be cancelled any more.", state=job.state
            )
        return Response(job_json(job), status=200 if job.state == State.CANCELLED else 202)


class JobEventsView(_JobView):
    scopes: ClassVar = {"GET": Scope.READ}
    renderer_classes = [EventStreamRenderer, JSONRenderer]

    @extend_schema(operation_id="follow_job", responses={(200, MEDIA_TYPE): DESCRIBED})
    def get(self, request: Request, job_id: int) -> HttpResponseBase:
        """Follow a job: server-sent events.

        An event `job` with the job as `GET /jobs/{job_id}` shows it comes at once and after each change. The stream
        ends after the change that ends the job, after some minutes, or with an event `gone` where the job was deleted.
        """
        job = self.job_or_404(job_id)
        return EventStream(self._events(job)) if request.method == "GET" else NoEvents()

    def _events(self, job: Job | None) -> Iterator[bytes]:
        until = time.monotonic() + settings.EVENT_STREAM_SECONDS
        told: dict[str, Any] | None = None
        told_at = 0.0
        while job is not None:
            seen = job_json(job)
            if seen != told:
                told, told_at = seen, time.monotonic()
                yield event("job", seen)
            elif time.monotonic() - told_at >= KEEP_ALIVE_SECONDS:
                told_at = time.monotonic()
                yield KEEP_ALIVE
            if job.state in FINISHED or time.monotonic() >= until or stopping.told():
                return
            pk = job.pk
            if not connection.in_atomic_block:
                # Many may follow jobs; none of them needs a connection between two looks.
                connection.close()
            time.sleep(_LOOK_SECONDS)
            job = self.jobs().filter(pk=pk).first()
        yield event("gone", {})
