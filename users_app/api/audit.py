"""The audit log of a workspace: who exported, erased, imported, or changed keys, members, quotas and webhooks."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PageQuery, page_schema
from common.api.serializers import ChoiceField, DateTimeField
from users_app.api.base import WorkspaceView
from users_app.models import AuditEntry, Scope
from users_app.selectors import audit_entries


class ActorSerializer(serializers.Serializer):
    """Who did it."""

    kind = serializers.ChoiceField(source="actor", choices=AuditEntry.ActorKind.choices, read_only=True)
    name = serializers.CharField(
        source="actor_name", read_only=True, help_text="The key's, the member's of staff, or the system user's."
    )
    key_prefix = serializers.CharField(read_only=True, help_text="Of an API key; else empty.")


class AuditEntrySerializer(serializers.Serializer):
    """That something was done."""

    id = serializers.IntegerField(read_only=True)
    at = serializers.DateTimeField(read_only=True)
    action = serializers.ChoiceField(choices=AuditEntry.Action.choices, read_only=True)
    actor = ActorSerializer(source="*", read_only=True)
    request_id = serializers.CharField(read_only=True, help_text="Of the request, where it is a UUID; else empty.")
    user = serializers.SerializerMethodField(
        help_text="Who was exported, until they are erased; null for everything else."
    )
    subject = serializers.CharField(
        read_only=True,
        help_text="Of an erasure its receipt's id, of a key its prefix, of a membership the member's name, of an "
        "import `dataset/split`, of a webhook or a trained model its id, or a quota.",
    )
    details = serializers.DictField(read_only=True)

    def get_user(self, entry: AuditEntry) -> str | None:
        return None if entry.end_user is None else entry.end_user.external_id


class AuditFilters(PageQuery):
    """Which entries to list."""

    action = ChoiceField(choices=AuditEntry.Action.values, required=False, help_text="Those of this action.")
    since = DateTimeField(required=False, help_text="Those of then or later.")
    until = DateTimeField(required=False, help_text="Those before then.")


class AuditView(WorkspaceView):
    scopes: ClassVar = {"GET": Scope.MANAGE}

    @extend_schema(
        operation_id="audit_list",
        parameters=[AuditFilters],
        responses=page_schema(AuditEntrySerializer, name="AuditEntry"),
    )
    def get(self, request: Request) -> Response:
        """List what was done, the newest first: exports, erasures, keys made and revoked, imports, changed members,
        quotas and webhooks.
        """
        query = self.query(AuditFilters)
        entries = audit_entries(
            workspace=self.workspace,
            action=query.get("action"),
            since=query.get("since"),
            until=query.get("until"),
        )

        def render(entry: AuditEntry) -> dict[str, Any]:
            return AuditEntrySerializer(entry).data

        return self.page(entries, order=("-at", "-id"), render=render, query=query)
