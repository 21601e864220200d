"""Tasks: the catalogue's, and those that a workspace defines."""

from typing import Any, ClassVar

from django.core import signing
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PageQuery, no_cursor, page_schema
from common.api.problems import FieldError, Problem, invalid_input, not_found
from lamp.catalogue import UnknownTask
from lamp.task_definitions import InvalidDefinition, definition_of
from lamp.tasks import Kind
from users_app.api.base import WorkspaceView
from users_app.api.task_schema import DEFINITION, NEW_DEFINITION
from users_app.models import Scope
from users_app.tasks import ReadsOtherDocuments, TaskVersion, TooManyTasks, define_task, tasks_of, versions_of


class TaskSummary(serializers.Serializer):
    """What a task is."""

    key = serializers.CharField(source="task.key")
    own = serializers.BooleanField(help_text="Whether the workspace has defined it; else it is the catalogue's.")
    title = serializers.CharField(source="task.title")
    kind = serializers.ChoiceField(source="task.kind", choices=[str(kind) for kind in Kind])
    version = serializers.CharField(source="task.version", help_text="Names everything that the definition says.")
    document_fields = serializers.ListField(
        source="task.fields", child=serializers.CharField(), help_text="What a document has, beside its id and date."
    )
    input_fields = serializers.ListField(
        source="task.input.fields", child=serializers.CharField(), help_text="What the input is made of."
    )
    created_at = serializers.DateTimeField(allow_null=True, help_text="Of this version; null for the catalogue's.")


class TaskVersionDetail(TaskSummary):
    """One version of a task, whole."""

    definition = serializers.SerializerMethodField(help_text="With every default written out.")

    @extend_schema_field(DEFINITION)
    def get_definition(self, shown: TaskVersion) -> dict[str, Any]:
        return definition_of(shown.task)


class TaskVersionName(serializers.Serializer):
    """That there is a version."""

    version = serializers.CharField(source="task.version")
    created_at = serializers.DateTimeField(allow_null=True)


class TaskDetail(TaskVersionDetail):
    """The version of a task that is in force, and all versions there are."""

    versions = serializers.SerializerMethodField(help_text="The one in force first.")

    @extend_schema_field(TaskVersionName(many=True))
    def get_versions(self, shown: TaskVersion) -> list[dict[str, Any]]:
        return list(TaskVersionName(self.context["versions"], many=True).data)


class TasksView(WorkspaceView):
    scopes: ClassVar = {"GET": Scope.READ, "POST": Scope.MANAGE}
    idempotent_methods: ClassVar = ("POST",)

    @extend_schema(
        operation_id="tasks_list", parameters=[PageQuery], responses=page_schema(TaskSummary, name="TaskSummary")
    )
    def get(self, request: Request) -> Response:
        """List the tasks: the catalogue's, then the workspace's own by key."""
        asked = self.query(PageQuery)
        rows = tasks_of(workspace=self.workspace)
        signer = signing.Signer(salt=f"users_app.api.tasks:{self.workspace.pk}")
        if "cursor" in asked:
            last = _opened(asked["cursor"], signer)
            rows = [row for row in rows if _place(row) > last]
        page, rest = rows[: asked["limit"]], rows[asked["limit"] :]
        cursor = signer.sign_object(_place(page[-1])) if rest else None
        return Response({"data": TaskSummary(page, many=True).data, "next_cursor": cursor})

    @extend_schema(
        operation_id="tasks_create",
        request={"application/json": NEW_DEFINITION},
        responses={
            201: OpenApiResponse(TaskVersionDetail, "The task, or its next version, is defined; see `Location`."),
            200: OpenApiResponse(TaskVersionDetail, "This very definition is in force already."),
            409: OpenApiResponse(
                description="The version in force has other fields or another document text (`other-documents`), or "
                "there are too many tasks or versions (`too-many-tasks`)."
            ),
        },
    )
    def post(self, request: Request) -> Response:
        """Define a task, or its next version.

        The definition is checked as a whole, and tried on made-up values, before it is stored. What was asked of an
        earlier version is answered by that one. Documents are stored once for all versions, so every version has the
        same `fields` and the same `document`.
        """
        try:
            made, _ = self.once(end_user=None, create=self._define)
        except InvalidDefinition as refused:
            wrong = refused.problems
            raise invalid_input(
                *(FieldError(at, f"This {message}.", remedy) for at, message, remedy in wrong)
            ) from None
        except ReadsOtherDocuments as other:
            raise Problem(
                409,
                "other-documents",
                "Documents are stored once for all versions of a task, so every version has the same fields and reads "
                "the same text of a document. Keep both as they are, or define the task under another key.",
                errors=[
                    FieldError(f"/{part}", "This is not as in the version in force.", "Write it as it is there.")
                    for part in other.parts
                ],
            ) from None
        except TooManyTasks as full:
            raise Problem(409, "too-many-tasks", str(full)) from None
        defined = versions_of(workspace=self.workspace, key=made["key"], version=made["version"])[0]
        return Response(
            TaskVersionDetail(defined).data,
            status=201 if made["created"] else 200,
            headers={"Location": f"{request.path}/{made['key']}"},
        )

    def _define(self) -> dict[str, Any]:
        defined, created = define_task(workspace=self.workspace, definition=self.request.data, created_by=self.api_key)
        return {"key": defined.task.key, "version": defined.task.version, "created": created}


class TaskView(WorkspaceView):
    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(operation_id="tasks_retrieve", responses=TaskDetail)
    def get(self, request: Request, key: str) -> Response:
        """Look at a task: the version in force, and which versions there are."""
        try:
            versions = versions_of(workspace=self.workspace, key=key)
        except UnknownTask:
            raise not_found() from None
        return Response(TaskDetail(versions[0], context={"versions": versions}).data)


class TaskVersionView(WorkspaceView):
    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(operation_id="tasks_versions_retrieve", responses=TaskVersionDetail)
    def get(self, request: Request, key: str, version: str) -> Response:
        """Look at one version of a task. It never changes."""
        try:
            found = versions_of(workspace=self.workspace, key=key, version=version)
        except UnknownTask:
            raise not_found() from None
        if not found:
            raise not_found()
        return Response(TaskVersionDetail(found[0]).data)


def _place(row: TaskVersion) -> list[Any]:
    """By which tasks are listed."""
    return [row.own, row.task.key]


def _opened(cursor: str, signer: signing.Signer) -> list[Any]:
    try:
        place: list[Any] = signer.unsign_object(cursor)
    except Exception:  # noqa: BLE001 (whatever a forged text makes the decoders raise)
        raise no_cursor() from None
    return place
