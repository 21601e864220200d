"""Which workspaces' rows a person of the staff may see and change in the admin.

The app that knows workspaces and their members says so when it starts: this one stands below it.
"""

from collections.abc import Callable, Collection
from functools import cache
from typing import Any, Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import ForeignKey, Model, Q, QuerySet
from django.http import HttpRequest

VIEWER: Final = "viewer"
RESEARCHER: Final = "researcher"
ADMIN: Final = "admin"

Granted = Callable[[AbstractBaseUser | AnonymousUser, str], Collection[int] | None]
"""Given a person and a role: the ids of the workspaces in which they have it, or a higher one; None: all there are."""

_CACHE: Final = "_workspaces_granted"
_registered: list[tuple[type[Model], Granted]] = []


def register(*, workspace: type[Model], granted: Granted) -> None:
    """Say which model's rows are workspaces, and who has which role in them."""
    _registered[:] = [(workspace, granted)]
    workspace_lookup.cache_clear()


def workspaces_granted(request: HttpRequest, *, role: str = VIEWER) -> Collection[int] | None:
    """Those in which whoever asks has `role` or a higher one, None for all. Asked of the database once a request."""
    known: dict[str, Collection[int] | None] = request.__dict__.setdefault(_CACHE, {})
    if role not in known:
        _, granted = _registered[0]
        known[role] = granted(request.user, role)
    return known[role]


@cache
def workspace_lookup(model: type[Model]) -> str | None:
    """The lookup from a row of `model` to the id of its workspace, by the fewest joins; None where it has none."""
    workspace, _ = _registered[0]
    waiting: list[tuple[type[Model], str]] = [(model, "")]
    seen: set[type[Model]] = set()
    while waiting:
        here, path = waiting.pop(0)
        if here is workspace:
            return f"{path}pk"
        if here in seen:
            continue
        seen.add(here)
        # Some refer to it by its number alone.
        if any(field.name == "workspace_id" for field in here._meta.fields):
            return f"{path}workspace_id"
        related = [field for field in here._meta.fields if isinstance(field, ForeignKey)]
        waiting += [(field.related_model, f"{path}{field.name}__") for field in related]
    return None


def granted_rows(rows: QuerySet, request: HttpRequest, *, role: str = VIEWER) -> QuerySet:
    """Those of `rows` that are of a workspace in which whoever asks has `role`. What is of none is for superusers."""
    granted = workspaces_granted(request, role=role)
    if granted is None:
        return rows
    model: Any = rows.model
    lookup = workspace_lookup(model)
    return rows.none() if lookup is None else rows.filter(Q(**{f"{lookup}__in": granted}))
