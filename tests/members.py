"""Browsers in which a member of a workspace's staff is logged in."""

from django.contrib.auth import get_user_model
from django.test import Client

from users_app.models import Membership, Workspace
from users_app.services import set_role


def member_of(workspace: Workspace, role: str = Membership.Role.VIEWER, *, is_staff: bool = False) -> Client:
    """A member of the workspace with the least role there is, unless told; `is_staff` lets them into the admin."""
    user = get_user_model().objects.create_user(f"{role} of {workspace.slug}", is_staff=is_staff)
    set_role(workspace=workspace, user_id=user.pk, role=role)
    client = Client()
    client.force_login(user)
    return client
