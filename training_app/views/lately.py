"""What somebody has asked on the playground lately: numbers in their session, and nothing of what was asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest

from training_app.generation_selectors import generations_by_ids
from training_app.models import Generation
from training_app.views.played import address_of
from users_app.models import Workspace

_KEY: Final = "playground"
_MOST: Final = 8


@dataclass(frozen=True)
class Lately:
    """One question, and the address of its answers."""

    question: Generation
    address: str


def remember(request: HttpRequest, *, workspace: Workspace, asked: Sequence[Generation]) -> None:
    """Keep these generations of one question as the last that was asked in this workspace."""
    kept = request.session.get(_KEY, {})
    mine = [[one.pk for one in asked], *kept.get(str(workspace.pk), [])]
    request.session[_KEY] = {**kept, str(workspace.pk): mine[:_MOST]}


def asked_lately(request: HttpRequest, *, workspace: Workspace) -> list[Lately]:
    """The last questions of which all generations are there still, the newest first."""
    kept: list[list[int]] = request.session.get(_KEY, {}).get(str(workspace.pk), [])
    if not kept:
        return []
    ids = [number for numbers in kept for number in numbers]
    found = generations_by_ids(workspace=workspace, generation_ids=ids, kind=Generation.Kind.ANSWER)
    standing = [[found[number] for number in numbers] for numbers in kept if all(number in found for number in numbers)]
    return [Lately(asked[0], address_of(workspace, asked)) for asked in standing]
