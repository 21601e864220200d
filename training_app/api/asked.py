"""Asking once, waiting as long as the client prefers, and telling what stands then."""

from collections.abc import Mapping, Sequence
from typing import Any

from drf_spectacular.utils import OpenApiResponse
from rest_framework.response import Response

from common.api.problems import found_or_404
from training_app.api import preferring
from training_app.asking import Question, ask
from training_app.generation_selectors import generation_by_id, generations_by_ids
from training_app.models import Generation
from training_app.waiting import wait_for
from users_app.api.base import WorkspaceView

NO_ADAPTER = OpenApiResponse(
    None,
    "The method needs an adapter that the user has not, the retriever needs a model that was not trained yet, or the "
    "default models are not loaded yet.",
)


def asked_once(view: WorkspaceView, questions: Sequence[Question], *, kind: Generation.Kind) -> list[Generation | None]:
    """Ask these, unless an earlier request with the same idempotency key has, and wait as the client prefers.

    What stands then, in the questions' order; None for what is gone.
    """

    def create() -> dict[str, Any]:
        asked = ask(workspace=view.workspace, questions=questions, api_key_id=view.api_key.pk, kind=kind)
        return {"generation_ids": [generation.pk for generation in asked]}

    whose = {question.end_user for question in questions}
    resource, _ = view.once(end_user=whose.pop() if len(whose) == 1 else None, create=create)
    ids: list[int] = resource["generation_ids"]
    seconds = preferring.preferred_wait(view.request.headers)
    if seconds:
        wait_for(ids, seconds=seconds)
    found = generations_by_ids(workspace=view.workspace, generation_ids=ids, kind=kind)
    return [found.get(generation_id) for generation_id in ids]


def awaited(view: WorkspaceView, generation_id: int, *, kind: Generation.Kind) -> tuple[Generation, dict[str, str]]:
    """One that was asked for, at its end or after as long as the client prefers to wait, and the answer's headers.

    Raises `Problem` 404.
    """

    def look() -> Generation:
        return found_or_404(generation_by_id(workspace=view.workspace, generation_id=generation_id, kind=kind))

    seconds = preferring.preferred_wait(view.request.headers)
    generation = look()
    if seconds and generation.finished_at is None:
        wait_for([generation.pk], seconds=seconds)
        generation = look()
    return generation, preferring.applied(seconds)


def told(view: WorkspaceView, body: Mapping[str, Any], *, ended: bool, location: str | None = None) -> Response:
    """`body` with 200 where all of it has ended, else with 202 and where to look for the end."""
    headers = preferring.applied(preferring.preferred_wait(view.request.headers))
    if not ended and location is not None:
        headers["Location"] = location
    return Response(body, status=200 if ended else 202, headers=headers)
