"""Accounts in the admin: superusers make them there, with what they are members of."""

import re

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.urls import reverse

from users_app.selectors import role_of

pytestmark = pytest.mark.django_db

PASSWORD = "a lamp that shines at noon"


@pytest.fixture
def root(client):
    client.force_login(get_user_model().objects.create_superuser("root", password="pw"))
    return client


def test_an_account_is_made_with_what_its_page_asks_for(root, workspace):
    page = root.get(reverse("admin:auth_user_add")).content.decode()
    given = {"username": "rita", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    asked = set(re.findall(r'name="([a-z_0-9]+)"', page))
    assert given.keys() <= asked
    rows = {"TOTAL_FORMS": 1, "INITIAL_FORMS": 0, "0-workspace": workspace.pk, "0-role": "researcher"}
    root.post(reverse("admin:auth_user_add"), given | {f"memberships-{name}": value for name, value in rows.items()})
    rita = authenticate(username="rita", password=PASSWORD)
    assert role_of(workspace=workspace, user_id=rita.pk) == "researcher"


def test_their_page_has_what_they_may_do_and_not_their_password(root):
    rita = get_user_model().objects.create_user("rita", password=PASSWORD)
    page = root.get(reverse("admin:auth_user_change", args=[rita.pk])).content.decode()
    assert {"is_staff", "is_active", "is_superuser"} <= set(re.findall(r'name="([a-z_]+)"', page))
    assert rita.password not in page
