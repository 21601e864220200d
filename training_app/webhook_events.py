"""What webhooks are told of generations: that one has ended and how. Never input, prompt or output."""

from typing import Any, Final

from common.api.problems import Problem
from training_app.generation_selectors import generation_by_id
from training_app.generations import FINISHED_EVENT
from users_app.models import Workspace
from users_app.webhook_events import EventType, Told


def _read(workspace: Workspace, generation_id: int, outcome: str) -> Told | None:
    generation = generation_by_id(workspace=workspace, generation_id=generation_id)
    if generation is None or generation.state != outcome or generation.finished_at is None:
        return None
    problem: dict[str, Any] | None = None
    if generation.problem_slug:
        document = Problem(409, generation.problem_slug, generation.problem_detail).document(request_id="")
        problem = {"type": document["type"], "title": document["title"]}
    data = {
        "id": generation.pk,
        "state": generation.state,
        "user": generation.end_user.external_id,
        "task": generation.task,
        "method": {"asked": generation.asked_method, "used": generation.family},
        "problem": problem,
        "url": f"/api/v1/generations/{generation.pk}",
    }
    return Told(generation.finished_at, data)


OF_GENERATIONS: Final = EventType(
    name=FINISHED_EVENT,
    description="A generation that a client asked for is answered, has failed or was cancelled.",
    read=_read,
)
