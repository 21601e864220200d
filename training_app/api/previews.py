"""Previews: the prompt that a generation would have, with the documents in it, and nothing generated."""

from typing import ClassVar

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.problems import found_or_404
from training_app.api import preferring
from training_app.api.asked import NO_ADAPTER, asked_once, awaited, told
from training_app.api.generation_answers import PreviewOut, rendered_preview
from training_app.api.generation_bodies import QuestionBody
from training_app.api.questions import question_of
from training_app.models import Generation
from users_app.api.base import WorkspaceView
from users_app.models import Scope

_TAGS = ["Generations"]


class PreviewsView(WorkspaceView):
    """Prompts that would be."""

    scopes: ClassVar = {"POST": Scope.GENERATE}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="preview",
        tags=_TAGS,
        summary="The prompt, the documents in it and the token counts, without generating",
        parameters=[preferring.PARAMETER],
        request=QuestionBody,
        responses={
            200: OpenApiResponse(PreviewOut, "It has ended: see `state`."),
            202: OpenApiResponse(PreviewOut, "It waits or runs. `Location` is where its end will be seen."),
            409: NO_ADAPTER,
        },
    )
    def post(self, request: Request) -> Response:
        """The same request as for a generation, as far as the prompt. A worker's tokenizer makes it, so
        `Prefer: wait=S` is useful here too.
        """
        question = question_of(self, self.body(QuestionBody))
        (preview,) = asked_once(self, [question], kind=Generation.Kind.PREVIEW)
        # None: an earlier answer to this request, which is gone since.
        preview = found_or_404(preview)
        body = rendered_preview(preview, workspace=self.workspace)
        return told(self, body, ended=preview.finished_at is not None, location=f"/api/v1/previews/{preview.pk}")


class PreviewView(WorkspaceView):
    """One preview."""

    scopes: ClassVar = {"GET": Scope.GENERATE}

    @extend_schema(
        operation_id="get_preview",
        tags=_TAGS,
        summary="One preview",
        parameters=[preferring.PARAMETER],
        responses=PreviewOut,
    )
    def get(self, request: Request, preview_id: int) -> Response:
        preview, headers = awaited(self, preview_id, kind=Generation.Kind.PREVIEW)
        return Response(rendered_preview(preview, workspace=self.workspace), headers=headers)
