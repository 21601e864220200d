"""Where a person begins."""

import pytest
from django.contrib.auth import get_user_model

from tests import people
from users_app.models import Membership
from users_app.services import set_role


@pytest.fixture
def carol(client, db):
    user = get_user_model().objects.create_user("carol")
    client.force_login(user)
    return user


def test_one_must_be_logged_in(client, db):
    assert client.get("/").headers["Location"] == "/login/?next=/"


def test_ones_own_workspaces_are_listed_and_no_other(client, carol, workspace, mallory):
    for one in (workspace, people.workspace("second")):
        set_role(workspace=one, user_id=carol.pk, role=Membership.Role.VIEWER)
    page = client.get("/").content.decode()
    assert ("acme" in page, "second" in page, "elsewhere" in page) == (True, True, False)


def test_who_has_no_workspace_is_told_what_to_do(client, carol):
    assert "member of no workspace yet" in client.get("/").content.decode()


def test_a_superuser_sees_all(client, admin_user, workspace, mallory):
    client.force_login(admin_user)
    page = client.get("/").content.decode()
    assert ("acme" in page, "elsewhere" in page) == (True, True)
