"""A small API of the tests' own, with everything that views share: people who are noted, and views that fail."""

from django.db import OperationalError
from django.urls import include, path
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from common.api.event_stream import EventStream, EventStreamRenderer, event
from common.api.pagination import PageQuery
from common.api.parsers import NDJSONParser, StrictJSONParser
from common.api.serializers import ExternalIdField, IntegerField, ListField, StrictSerializer, StringField
from config import urls
from users_app.api.base import WorkspaceView
from users_app.models import Scope
from users_app.selectors import end_users
from users_app.services import ensure_end_user


class Tag(StrictSerializer):
    name = StringField(max_length=5)


class Note(StrictSerializer):
    user = ExternalIdField()
    times = IntegerField(min_value=1, max_value=9, default=1)
    tags = ListField(child=Tag(), required=False, max_length=3)


class Named(PageQuery):
    after = StringField(required=False)


class NotesView(WorkspaceView):
    scopes = {"GET": Scope.READ, "POST": Scope.PROFILES}
    idempotent_methods = ("POST",)

    def get(self, request):
        query = self.query(Named)
        rows = end_users(workspace=self.workspace).filter(external_id__gt=query.get("after", ""))
        return self.page(rows, order=("external_id",), render=lambda user: user.external_id, query=query)

    def post(self, request):
        note = self.body(Note)
        resource, _ = self.once(
            end_user=None,
            create=lambda: {"id": ensure_end_user(workspace=self.workspace, external_id=note["user"]).pk},
        )
        return Response(resource, status=201)


class NoteView(WorkspaceView):
    scopes = {"GET": Scope.READ}

    def get(self, request, user_id):
        return Response({"user": self.end_user_or_404(user_id).external_id})


class LinesView(WorkspaceView):
    scopes = {"POST": Scope.PROFILES}
    parser_classes = [StrictJSONParser, NDJSONParser]

    def post(self, request):
        return Response([[line.number, line.value, [error.message for error in line.errors]] for line in request.data])


class EventsView(WorkspaceView):
    scopes = {"GET": Scope.READ}
    renderer_classes = [EventStreamRenderer, JSONRenderer]

    def get(self, request):
        return EventStream(iter([event("tick", {"n": 1})]))


class UnscopedView(WorkspaceView):
    def get(self, request):
        return Response({"secret": "no scope is named for this"})


class BrokenView(WorkspaceView):
    scopes = {"GET": Scope.READ}

    def get(self, request):
        raise ValueError("my roses are drowning")


class DatabaseAwayView(WorkspaceView):
    scopes = {"GET": Scope.READ}

    def get(self, request):
        raise OperationalError("server closed the connection")


urlpatterns = [
    path(
        "api/v1/",
        include(
            [
                path("notes", NotesView.as_view()),
                path("notes/<external:user_id>", NoteView.as_view()),
                path("lines", LinesView.as_view()),
                path("ticks", EventsView.as_view()),
                path("unscoped", UnscopedView.as_view()),
                path("broken", BrokenView.as_view()),
                path("database-away", DatabaseAwayView.as_view()),
            ]
        ),
    ),
    *urls.urlpatterns,
]
handler400, handler404, handler500 = urls.handler400, urls.handler404, urls.handler500
