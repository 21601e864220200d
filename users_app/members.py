"""Members of a workspace: people who see its pages."""

import secrets
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db import transaction

from users_app.audit import INSTALLATION, Actor
from users_app.models import Membership, Workspace
from users_app.services import set_role

_PASSWORD_BYTES = 12


class Added(NamedTuple):
    """A membership; `password` is that of an account made just now, and None where there was one already."""

    membership: Membership
    password: str | None


@transaction.atomic
def add_member(*, workspace: Workspace, username: str, role: str, by: Actor = INSTALLATION) -> Added:
    """Let the person called `username` be a member of `workspace` in that role, whatever it was before.

    Who has no account gets one that may log in to the pages, not to the admin. Raises
    `django.core.exceptions.ValidationError` for what cannot be a user name.
    """
    people: Any = get_user_model()._default_manager
    person = people.filter(username=username).first()
    password = None
    if person is None:
        person, password = get_user_model()(username=username), secrets.token_urlsafe(_PASSWORD_BYTES)
        person.set_password(password)
        person.full_clean()
        person.save()
    return Added(set_role(workspace=workspace, user_id=person.pk, role=role, by=by), password)
