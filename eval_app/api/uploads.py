"""Uploads: make room for a file, be told where to put it, look whether it has come, delete it."""

import re
from typing import Any, ClassVar, Final

from django.conf import settings
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PageQuery, page_schema
from common.api.problems import Problem, found_or_404, not_found
from common.api.serializers import ExternalIdField, IntegerField, Invalid, StrictSerializer, StringField
from eval_app.models import Upload
from eval_app.uploads import (
    ADDRESS_SECONDS,
    TooManyUploads,
    UploadInUse,
    create_upload,
    discard_upload,
    stored_bytes,
    upload_address,
)
from eval_app.workspace_selectors import uploads_of
from users_app.api.base import WorkspaceView
from users_app.models import Scope

_TAGS = ["Datasets"]
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}\Z")


class UploadBody(StrictSerializer):
    filename = ExternalIdField(
        help_text="What you call the file: what is wrong with it is said by this name, which stays with the job. Name "
        "nobody in it."
    )
    bytes = IntegerField(min_value=1, help_text="Its size, exactly.")
    sha256 = StringField(
        required=False, max_length=64, help_text="Its SHA-256 in hex, if the import shall check what has come."
    )

    def validate_bytes(self, value: int) -> int:
        most = settings.UPLOAD_MAX_BYTES
        if value > most:
            raise Invalid(f"This is more than {most:,} bytes.", remedy="Split the file into several splits' files.")
        return value

    def validate_sha256(self, value: str) -> str:
        if not _SHA256.match(value):
            raise Invalid("This is no SHA-256.", remedy="Send its 64 hexadecimal digits, or leave it out.")
        return value.lower()


class UploadSummary(serializers.Serializer):
    id = serializers.IntegerField()
    filename = serializers.CharField(source="name")
    bytes = serializers.IntegerField(source="size", help_text="As declared.")
    sha256 = serializers.CharField(allow_null=True, help_text="As declared; null where nothing was.")
    state = serializers.ChoiceField(
        choices=["open", "importing"],
        help_text="`open`: it waits for its file, or to be imported. `importing`: an import reads it.",
    )
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(help_text="Unless it is imported before, it is deleted then.")


class AddressOut(serializers.Serializer):
    """Where to put the file, in one request of this method whose body is the file and nothing else."""

    method = serializers.CharField()
    url = serializers.URLField(help_text="Needs no key, so keep it to yourself.")
    expires_at = serializers.DateTimeField(help_text="The transfer must have begun by then.")


class UploadDetail(UploadSummary):
    stored_bytes = serializers.IntegerField(allow_null=True, help_text="How many have come; null where nothing has.")
    put = AddressOut(allow_null=True, help_text="Null while an import reads it.")


class UploadsView(WorkspaceView):
    """The workspace's uploads."""

    scopes: ClassVar = {"GET": Scope.MANAGE, "POST": Scope.MANAGE}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="list_uploads",
        tags=_TAGS,
        summary="The workspace's uploads, the newest first",
        parameters=[PageQuery],
        responses=page_schema(UploadSummary, name="Upload"),
    )
    def get(self, request: Request) -> Response:
        """Those that wait to be imported, and those that are being imported."""
        return self.page(
            uploads_of(workspace=self.workspace), order=("-pk",), render=lambda row: UploadSummary(_summary(row)).data
        )

    @extend_schema(
        operation_id="create_upload",
        tags=_TAGS,
        summary="Make room for a file, and learn where to put it",
        request=UploadBody,
        responses={
            201: UploadDetail,
            409: OpenApiResponse(None, "The workspace has as many uploads as it may have (`too-many-uploads`)."),
        },
        description=(
            "The file goes straight to the object store, in one `PUT` to the address in `put.url`:\n\n"
            "```\ncurl -T questions.json 'ADDRESS'\n```\n\n"
            f"An address works for {ADDRESS_SECONDS // 60} minutes; `GET /uploads/{{upload_id}}` gives another. An "
            "upload is deleted once it was imported, and after a day in any case: until then it holds texts of people "
            "whom nobody here knows yet, so whoever shall be erased from it is erased by deleting it."
        ),
    )
    def post(self, request: Request) -> Response:
        body = self.body(UploadBody)

        def create() -> dict[str, Any]:
            try:
                upload = create_upload(
                    workspace=self.workspace, name=body["filename"], size=body["bytes"], sha256=body.get("sha256", "")
                )
            except TooManyUploads as too_many:
                raise Problem(
                    409, "too-many-uploads", f"{too_many} Import them, or delete some: GET /api/v1/uploads lists them."
                ) from None
            return {"upload_id": upload.pk}

        made, _ = self.once(end_user=None, create=create)
        # None: an earlier answer to this request, whose upload is gone since.
        upload = found_or_404(uploads_of(workspace=self.workspace).filter(pk=made["upload_id"]).first())
        return _answer(upload, status=201, headers={"Location": f"/api/v1/uploads/{upload.pk}"})


class UploadView(WorkspaceView):
    """One upload."""

    scopes: ClassVar = {"GET": Scope.MANAGE, "DELETE": Scope.MANAGE}

    @extend_schema(
        operation_id="get_upload",
        tags=_TAGS,
        summary="One upload: whether its file has come, and where to put it",
        responses=UploadDetail,
    )
    def get(self, request: Request, upload_id: int) -> Response:
        """404 once it was imported or has expired."""
        return _answer(found_or_404(uploads_of(workspace=self.workspace).filter(pk=upload_id).first()))

    @extend_schema(
        operation_id="delete_upload",
        tags=_TAGS,
        summary="Delete an upload and its file",
        responses={
            204: OpenApiResponse(None, "It is gone."),
            409: OpenApiResponse(None, "An import reads it (`upload-in-use`)."),
        },
    )
    def delete(self, request: Request, upload_id: int) -> Response:
        try:
            discard_upload(workspace=self.workspace, upload_id=upload_id)
        except Upload.DoesNotExist:
            raise not_found() from None
        except UploadInUse as in_use:
            raise Problem(
                409, "upload-in-use", f"{in_use} Wait for its job, or cancel it with POST /api/v1/jobs/{{id}}/cancel."
            ) from None
        return Response(status=204)


def _summary(upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.pk,
        "name": upload.name,
        "size": upload.size,
        "sha256": upload.sha256 or None,
        "state": "importing" if upload.import_id else "open",
        "created_at": upload.created_at,
        "expires_at": upload.expires_at,
    }


def _answer(upload: Upload, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    address = upload_address(upload=upload)
    put = None if address is None else {"method": "PUT", "url": address.url, "expires_at": address.expires_at}
    values = {**_summary(upload), "stored_bytes": stored_bytes(upload=upload), "put": put}
    return Response(UploadDetail(values).data, status=status, headers={"Cache-Control": "no-store", **(headers or {})})
