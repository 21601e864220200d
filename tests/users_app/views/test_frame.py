"""What stands around every page."""

import pytest
from django.contrib.auth import get_user_model

from users_app.models import Membership
from users_app.services import set_role


@pytest.fixture
def page_for(client, workspace):
    """A page of the workspace, as a member sees it."""

    def get(address="/w/acme/experiments/", **told):
        user = get_user_model().objects.create_user("rita", **told)
        set_role(workspace=workspace, user_id=user.pk, role=Membership.Role.VIEWER)
        client.force_login(user)
        return client.get(address).content.decode()

    return get


def test_the_navigation_says_where_one_is(page_for):
    page = page_for()
    assert '<a href="/w/acme/experiments/" aria-current="page">Experiments</a>' in page
    assert '<a href="/w/acme/playground/">Playground</a>' in page


def test_one_logs_out_by_our_own_door(page_for):
    assert '<form method="post" action="/logout/">' in page_for()


@pytest.mark.parametrize("is_staff", [True, False])
def test_the_admin_is_offered_to_staff_alone(page_for, is_staff):
    assert ('href="/admin/"' in page_for(is_staff=is_staff)) == is_staff


def test_whoever_is_not_logged_in_has_no_menu(client, db):
    page = client.get("/login/").content.decode()
    assert ("Log out" in page, 'aria-label="Workspace"' in page) == (False, False)
