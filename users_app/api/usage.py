"""Quotas of a workspace: how much it may have, and how much of that is used."""

from typing import ClassVar, Final

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from users_app.api.base import WorkspaceView
from users_app.models import Quota, Scope, SharedTraining
from users_app.quotas import standings

OVER_QUOTA: Final = {
    403: OpenApiResponse(description="The key lacks the scope, or a quota is used up (`quota-exceeded`).")
}
"""The answer of what stores documents and adapters."""
OVER_DAILY_QUOTA: Final = {
    429: OpenApiResponse(
        description="Too many requests, or the day's generations are used up (`quota-exceeded`); see `Retry-After`."
    )
}
"""The answer of what asks for generations."""


class QuotaSerializer(serializers.Serializer):
    """How much of something there may be, and how much there is."""

    quota = serializers.ChoiceField(choices=Quota.choices, read_only=True)
    limit = serializers.IntegerField(allow_null=True, read_only=True, help_text="Null: there is none.")
    used = serializers.IntegerField(read_only=True, help_text="It may be more than the limit, if that was lowered.")
    resets_at = serializers.DateTimeField(
        allow_null=True, read_only=True, help_text="When none of it is used any more; null for what stays."
    )


class UsageSerializer(serializers.Serializer):
    """Every quota of a workspace, and whose data it may train on."""

    data = QuotaSerializer(many=True, read_only=True)  # type: ignore[assignment]
    shared_training = serializers.ChoiceField(
        choices=SharedTraining.choices,
        read_only=True,
        help_text="Whose data selectors and fine-tuned encoders, which learn from many users at once, may learn from: "
        "`nobody`'s, that of users who have `agreed`, or `everyone`'s. Adapters, which learn from one user for that "
        "user, are not concerned.",
    )


class UsageView(WorkspaceView):
    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(operation_id="get_usage", responses=UsageSerializer)
    def get(self, request: Request) -> Response:
        """See what the workspace may have, and has: documents, adapters that can be used, the bytes of both, and
        generations that were asked for today (UTC); and whose data it may train on for all.
        """
        told = {"data": standings(workspace=self.workspace), "shared_training": self.workspace.shared_training}
        return Response(UsageSerializer(told).data)
