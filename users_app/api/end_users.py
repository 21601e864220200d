"""End users: the people whose profiles a client keeps here, under the client's own ids."""

from typing import Any, ClassVar, Final

from django.db import transaction
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.bounded_streams import BoundedStream, Places
from common.api.pagination import PageQuery, page_schema
from common.api.problems import not_found
from common.api.serializers import BooleanField, StrictSerializer
from users_app.api.base import WorkspaceView
from users_app.api.erasures import ErasureSerializer, erasure_response
from users_app.erasure import erase_end_user
from users_app.exporting import export_end_user
from users_app.models import EndUser, Scope
from users_app.selectors import document_counts, end_users
from users_app.services import put_end_user
from users_app.shared_training import set_agreement

_ZIP: Final = "application/zip"
# Each holds a thread and a connection of its process for as long as the client reads.
_EXPORTS: Final = Places(3, busy="As many exports are being sent as this server takes. Try again.")


class EndUserSerializer(serializers.Serializer):
    """A person, by the client's own id."""

    id = serializers.CharField(source="external_id", read_only=True)
    agreed_to_shared_training = serializers.SerializerMethodField(
        help_text="Whether they have agreed that models of the whole workspace learn from their data too."
    )
    created_at = serializers.DateTimeField(read_only=True)

    def get_agreed_to_shared_training(self, end_user: EndUser) -> bool:
        return end_user.agreed_to_shared_training_at is not None


class EndUserDetail(EndUserSerializer):
    """A person, and how large their profile is."""

    documents = serializers.SerializerMethodField(help_text="How many stand in the live profile, by task.")

    def get_documents(self, end_user: EndUser) -> dict[str, int]:
        return document_counts(workspace=end_user.workspace, end_user=end_user)


class NewEndUser(StrictSerializer):
    """Nothing need be said of a person: the body may be empty, or an empty object."""

    agreed_to_shared_training = BooleanField(
        required=False,
        help_text="Whether selectors and fine-tuned encoders, which learn from many users at once, may learn from this "
        "one's data where the workspace asks its users (see `GET /usage`). Left out: it stays as it is, which is no "
        "for a new user. A no concerns trainings from then on.",
    )


class EndUsersView(WorkspaceView):
    scopes: ClassVar = {"GET": Scope.PROFILES}

    @extend_schema(
        operation_id="users_list", parameters=[PageQuery], responses=page_schema(EndUserSerializer, name="EndUser")
    )
    def get(self, request: Request) -> Response:
        """List the users, the newest first."""

        def render(end_user: EndUser) -> dict[str, Any]:
            return EndUserSerializer(end_user).data

        return self.page(end_users(workspace=self.workspace), order=("-id",), render=render)


class EndUserView(WorkspaceView):
    scopes: ClassVar = {"GET": Scope.PROFILES, "PUT": Scope.PROFILES, "DELETE": Scope.MANAGE}

    @extend_schema(operation_id="users_retrieve", responses=EndUserDetail)
    def get(self, request: Request, user_id: str) -> Response:
        """Look at a user."""
        return Response(EndUserDetail(self.end_user_or_404(user_id)).data)

    @extend_schema(
        operation_id="users_put",
        request={"application/json": NewEndUser},
        responses={
            200: OpenApiResponse(EndUserDetail, "There was such a user."),
            201: OpenApiResponse(EndUserDetail, "The user was made."),
        },
    )
    def put(self, request: Request, user_id: str) -> Response:
        """Make a user, or find that there is one, and say whether they agree to shared training. Doing so again
        changes nothing.
        """
        agreed = self.body(NewEndUser).get("agreed_to_shared_training")
        try:
            with transaction.atomic():
                end_user, made = put_end_user(workspace=self.workspace, external_id=user_id)
                if agreed is not None:
                    set_agreement(workspace=self.workspace, end_user=end_user, agreed=agreed, by=self.actor)
        except EndUser.DoesNotExist:
            # Erased meanwhile.
            raise not_found() from None
        return Response(EndUserDetail(end_user).data, status=201 if made else 200)

    @extend_schema(
        operation_id="users_erase",
        responses={
            200: OpenApiResponse(ErasureSerializer, "Everything is gone."),
            202: OpenApiResponse(
                ErasureSerializer, "Everything is gone but files, which go as soon as the object store answers."
            ),
        },
    )
    def delete(self, request: Request, user_id: str) -> Response:
        """Erase a user: documents, vectors, adapters with their files, generations, predictions and jobs.

        What is left is a receipt that names nobody, so doing it again answers 404. Ended experiments keep their
        figures, and say from how many users they were erased.
        """
        try:
            receipt = erase_end_user(workspace=self.workspace, end_user=self.end_user_or_404(user_id), by=self.actor)
        except EndUser.DoesNotExist:
            raise not_found() from None
        return erasure_response(receipt)


class _ZipRenderer(JSONRenderer):
    """Lets a client accept the archive; problems are documents as everywhere."""

    media_type = _ZIP
    format = "zip"


class EndUserExportView(WorkspaceView):
    scopes: ClassVar = {"GET": Scope.MANAGE}
    renderer_classes = [_ZipRenderer, JSONRenderer]

    @extend_schema(operation_id="users_export", responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request: Request, user_id: str) -> HttpResponseBase:
        """Everything that is stored of a user, as a zip archive of JSON Lines and the adapters' files. The audit log
        says who asked for it.
        """
        end_user = self.end_user_or_404(user_id)
        # Not the user's id: it may hold what no header can.
        headers = {"Content-Disposition": 'attachment; filename="user-export.zip"', "Cache-Control": "no-store"}
        if request.method == "HEAD":
            return HttpResponse(content_type=_ZIP, headers=headers)
        place = _EXPORTS.take()
        try:
            archive = export_end_user(workspace=self.workspace, end_user=end_user, by=self.actor)
        except EndUser.DoesNotExist:
            # Erased meanwhile.
            place.release()
            raise not_found() from None
        except BaseException:
            place.release()
            raise
        return BoundedStream(archive, place=place, content_type=_ZIP, headers=headers)
