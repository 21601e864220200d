"""A browser in which somebody of acme is logged in."""

import pytest

from tests.members import member_of
from users_app.models import Membership


@pytest.fixture
def member(workspace):
    """Log in as a member of acme, a researcher unless told."""
    return lambda role=Membership.Role.RESEARCHER: member_of(workspace, role)


@pytest.fixture
def browser(member):
    return member()
