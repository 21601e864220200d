"""Generations: ask for an output or several, look at them, follow one, say what came of it."""

import time
from collections.abc import Iterator
from typing import Any, ClassVar

from django.conf import settings
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiResponse, extend_schema
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
from common.api.pagination import page_schema
from common.api.problems import found_or_404
from common.api.serializers import ChoiceField, ExternalIdField, StrictSerializer, StringField
from training_app.api import preferring
from training_app.api.asked import NO_ADAPTER, asked_once, awaited, told
from training_app.api.generation_answers import GenerationOut, GenerationsOut, rendered
from training_app.api.generation_bodies import GenerationsQuery, IncludeQuery, QuestionBody, QuestionsBody
from training_app.api.questions import question_of, questions_of
from training_app.asking import INPUT_CHARACTERS_MOST
from training_app.feedback import give_feedback
from training_app.generation_selectors import generation_by_id, generations_of
from training_app.models import Generation
from training_app.waiting import wait_paced
from users_app.api.base import WorkspaceView
from users_app.api.usage import OVER_DAILY_QUOTA, OVER_QUOTA
from users_app.models import Scope

_TAGS = ["Generations"]
# How often a stream looks whether the job runs; that it has ended is heard at once.
_STREAM_LOOK_SECONDS = 1.0


class GenerationsView(WorkspaceView):
    """The outputs that clients of the workspace asked for."""

    scopes: ClassVar = {"GET": Scope.GENERATE, "POST": Scope.GENERATE}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="list_generations",
        tags=_TAGS,
        summary="The workspace's generations, the newest first",
        parameters=[GenerationsQuery],
        responses=page_schema(GenerationOut, name="Generation"),
    )
    def get(self, request: Request) -> Response:
        """They are kept for a time that the installation sets."""
        query = self.query(GenerationsQuery)
        rows = generations_of(
            workspace=self.workspace,
            external_id=query.get("user"),
            task=query.get("task"),
            state=query.get("state"),
        )
        include = query.get("include", ())
        return self.page_at_once(
            rows,
            order=("-pk",),
            render=lambda found: rendered(found, workspace=self.workspace, include=include),
            query=query,
        )

    @extend_schema(
        operation_id="generate",
        tags=_TAGS,
        summary="Ask for an output",
        parameters=[preferring.PARAMETER, IncludeQuery],
        request=QuestionBody,
        responses={
            200: OpenApiResponse(GenerationOut, "It has ended: see `state`."),
            202: OpenApiResponse(GenerationOut, "It waits or runs. `Location` is where its end will be seen."),
            409: NO_ADAPTER,
            **OVER_DAILY_QUOTA,
        },
    )
    def post(self, request: Request) -> Response:
        """The profile is taken as it stands now. With `Prefer: wait=S` the answer is in the response where it comes in
        time; else, and where the client has gone meanwhile, it is at `Location`. Whether it failed is told by `state`
        and `problem`, not by the status.
        """
        question = question_of(self, self.body(QuestionBody))
        include = self.query(IncludeQuery).get("include", ())
        (generation,) = asked_once(self, [question], kind=Generation.Kind.ANSWER)
        # None: an earlier answer to this request, which is gone since.
        generation = found_or_404(generation)
        (body,) = rendered([generation], workspace=self.workspace, include=include)
        location = f"/api/v1/generations/{generation.pk}"
        return told(self, body, ended=generation.finished_at is not None, location=location)


class GenerationBatchView(WorkspaceView):
    """Several outputs at once."""

    scopes: ClassVar = {"POST": Scope.GENERATE}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="generate_batch",
        tags=_TAGS,
        summary="Ask for up to 100 outputs, of one user or many",
        parameters=[preferring.PARAMETER, IncludeQuery],
        request=QuestionsBody,
        responses={
            200: OpenApiResponse(GenerationsOut, "All have ended."),
            202: OpenApiResponse(GenerationsOut, "Some wait or run: look at each by its id."),
            409: NO_ADAPTER,
            **OVER_DAILY_QUOTA,
        },
    )
    def post(self, request: Request) -> Response:
        """All are asked for, or none: an error of one names it, and nothing is stored."""
        questions = questions_of(self, self.body(QuestionsBody)["generations"], at="/generations")
        include = self.query(IncludeQuery).get("include", ())
        generations = asked_once(self, questions, kind=Generation.Kind.ANSWER)
        standing = [one for one in generations if one is not None]
        body = {"data": rendered(standing, workspace=self.workspace, include=include)}
        return told(self, body, ended=all(one.finished_at is not None for one in standing))


class GenerationView(WorkspaceView):
    """One output."""

    scopes: ClassVar = {"GET": Scope.GENERATE}

    @extend_schema(
        operation_id="get_generation",
        tags=_TAGS,
        summary="One output, and how it came about",
        parameters=[preferring.PARAMETER, IncludeQuery],
        responses=GenerationOut,
    )
    def get(self, request: Request, generation_id: int) -> Response:
        """With `Prefer: wait=S` the response comes at its end, or after so many seconds."""
        include = self.query(IncludeQuery).get("include", ())
        generation, headers = awaited(self, generation_id, kind=Generation.Kind.ANSWER)
        (body,) = rendered([generation], workspace=self.workspace, include=include)
        return Response(body, headers=headers)


class GenerationEventsView(WorkspaceView):
    """What happens to one output."""

    scopes: ClassVar = {"GET": Scope.GENERATE}
    renderer_classes = [EventStreamRenderer, JSONRenderer]

    @extend_schema(
        operation_id="follow_generation",
        tags=_TAGS,
        summary="Server-sent events of one generation, until its end",
        responses={(200, MEDIA_TYPE): DESCRIBED},
    )
    def get(self, request: Request, generation_id: int) -> HttpResponseBase:
        """An event `generation` for each change of its state, the last with its output; the stream ends with it, or
        after some minutes.
        """
        _generation_or_404(self, generation_id)
        return EventStream(self._events(generation_id)) if request.method == "GET" else NoEvents()

    def _events(self, generation_id: int) -> Iterator[bytes]:
        until = time.monotonic() + settings.EVENT_STREAM_SECONDS
        told, told_at = "", time.monotonic()
        while True:
            generation = generation_by_id(workspace=self.workspace, generation_id=generation_id)
            if generation is None:
                return
            (body,) = rendered([generation], workspace=self.workspace)
            if body["state"] != told:
                told, told_at = body["state"], time.monotonic()
                yield event("generation", body)
            if generation.finished_at is not None or time.monotonic() >= until or stopping.told():
                return
            if time.monotonic() - told_at >= KEEP_ALIVE_SECONDS:
                told_at = time.monotonic()
                yield KEEP_ALIVE
            wait_paced([generation_id], seconds=_STREAM_LOOK_SECONDS)


class FeedbackBody(StrictSerializer):
    """`text` belongs to `corrected`; what is said of the document has no meaning for `rejected`."""

    rating = ChoiceField(choices=Generation.Rating.values)
    text = StringField(
        required=False, max_length=INPUT_CHARACTERS_MOST, help_text="The text as it should have been, if corrected."
    )
    fields = serializers.DictField(  # type: ignore[assignment]  # the metaclass takes it away
        required=False,
        help_text="The document as it shall stand in the profile, where the input does not say all of its fields.",
    )
    date = serializers.JSONField(
        required=False,
        help_text="That document's date, a year or year-month-day; today unless said, if others have one.",
    )
    document_id = ExternalIdField(
        required=False, help_text="The client's id of that document; `generation-ID` unless said."
    )


class GenerationFeedbackView(WorkspaceView):
    """What a client says of one output."""

    scopes: ClassVar = {"POST": Scope.GENERATE}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="give_feedback",
        tags=_TAGS,
        summary="Accept, correct or reject an output",
        request=FeedbackBody,
        responses={
            200: GenerationOut,
            409: OpenApiResponse(None, "There is no answer yet, or another document stands under that id."),
            **OVER_QUOTA,
        },
    )
    def post(self, request: Request, generation_id: int) -> Response:
        """An accepted output or a corrected text becomes a document of the user's profile, made of the generation's
        input and that text as the task's training pair says. Where a document has more fields than these, give
        `fields`. A rejection is kept as a rating. Said again, it takes the place of what was said before.
        """
        generation = _generation_or_404(self, generation_id)
        body = self.body(FeedbackBody)

        def create() -> dict[str, Any]:
            give_feedback(
                workspace=self.workspace,
                generation=generation,
                rating=Generation.Rating(body["rating"]),
                text=body.get("text"),
                document_id=body.get("document_id"),
                fields=body.get("fields"),
                date=body.get("date"),
            )
            return {"generation_id": generation.pk}

        self.once(end_user=generation.end_user, create=create)
        generation = _generation_or_404(self, generation_id)
        return Response(rendered([generation], workspace=self.workspace)[0])


def _generation_or_404(view: WorkspaceView, generation_id: int) -> Generation:
    return found_or_404(generation_by_id(workspace=view.workspace, generation_id=generation_id))
