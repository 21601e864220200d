"""Which base models there are to choose among."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PageQuery, page_schema
from training_app.base_models import base_models, default_or_none
from users_app.api.base import WorkspaceView
from users_app.models import Scope


class ListedBaseModel(serializers.Serializer):
    name = serializers.CharField()
    revision = serializers.CharField(help_text="A commit of the hub, or the digest of a folder.")
    default = serializers.BooleanField(help_text="Whether it is used where a request names none.")
    created_at = serializers.DateTimeField(help_text="When it was first loaded here.")


class BaseModelsView(WorkspaceView):
    """The base models that were ever loaded here, which all workspaces share."""

    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(
        operation_id="list_base_models",
        tags=["Adapters"],
        summary="The base models of this installation, the newest first",
        parameters=[PageQuery],
        responses=page_schema(ListedBaseModel, name="BaseModel"),
    )
    def get(self, request: Request) -> Response:
        """A name stands for its newest revision. Adapters belong to one revision of one base model."""
        default = default_or_none()
        return self.page(
            base_models(),
            order=("-pk",),
            render=lambda row: {
                "name": row.public_name,
                "revision": row.revision,
                "default": row == default,
                "created_at": row.created_at,
            },
        )
