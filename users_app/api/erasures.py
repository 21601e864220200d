"""Receipts of erasures: that something was erased, and whether its files are gone too."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PageQuery, page_schema
from common.api.problems import found_or_404
from users_app.api.base import WorkspaceView
from users_app.models import ErasureReceipt, Scope
from users_app.selectors import erasures


class ErasureSerializer(serializers.Serializer):
    """A receipt. It names nobody: whoever asked knows whom they erased."""

    id = serializers.IntegerField(read_only=True)
    scope = serializers.ChoiceField(choices=ErasureReceipt.Scope.choices, read_only=True)
    removed = serializers.DictField(
        child=serializers.IntegerField(), read_only=True, help_text="How many rows, or objects, of each kind are gone."
    )
    requested_at = serializers.DateTimeField(read_only=True)
    finished_at = serializers.DateTimeField(
        allow_null=True, read_only=True, help_text="Null while files are left in the object store."
    )


def erasure_response(receipt: ErasureReceipt) -> Response:
    """The answer to whoever has erased: 200, or 202 while files are left."""
    done = receipt.finished_at is not None
    return Response(
        ErasureSerializer(receipt).data,
        status=200 if done else 202,
        headers={} if done else {"Location": f"/api/v1/erasures/{receipt.pk}"},
    )


class ErasuresView(WorkspaceView):
    scopes: ClassVar = {"GET": Scope.MANAGE}

    @extend_schema(
        operation_id="erasures_list", parameters=[PageQuery], responses=page_schema(ErasureSerializer, name="Erasure")
    )
    def get(self, request: Request) -> Response:
        """List the receipts of erasures, the newest first."""

        def render(receipt: ErasureReceipt) -> dict[str, Any]:
            return ErasureSerializer(receipt).data

        return self.page(erasures(workspace=self.workspace), order=("-id",), render=render)


class ErasureView(WorkspaceView):
    scopes: ClassVar = {"GET": Scope.MANAGE}

    @extend_schema(operation_id="erasures_retrieve", responses=ErasureSerializer)
    def get(self, request: Request, erasure_id: int) -> Response:
        """Look at the receipt of an erasure."""
        receipt = found_or_404(erasures(workspace=self.workspace).filter(pk=erasure_id).first())
        return Response(ErasureSerializer(receipt).data)
