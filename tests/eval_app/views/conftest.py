"""A browser in which somebody of acme is logged in."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from users_app.models import Membership
from users_app.services import set_role


@pytest.fixture
def member(workspace):
    """Log in as a member of acme, a researcher unless told."""

    def log_in(role=Membership.Role.RESEARCHER):
        user = get_user_model().objects.create_user(f"{role}-of-acme")
        set_role(workspace=workspace, user_id=user.pk, role=role)
        client = Client()
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def browser(member):
    return member()
