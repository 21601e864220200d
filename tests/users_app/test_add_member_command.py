"""`manage.py add_member`."""

import io

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import CommandError, call_command

from users_app.models import Membership, Workspace
from users_app.selectors import role_of

pytestmark = pytest.mark.django_db


def add(*, workspace="acme", user="rita", role="researcher"):
    out, err = io.StringIO(), io.StringIO()
    call_command("add_member", "--workspace", workspace, "--user", user, "--role", role, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_new_person_can_log_in_with_the_password_that_alone_goes_to_standard_output(workspace):
    out, err = add()
    person = authenticate(username="rita", password=out.removesuffix("\n"))
    assert role_of(workspace=workspace, user_id=person.pk) == "researcher"
    assert out.strip() not in err


def test_they_may_not_use_the_admin(workspace):
    add()
    person = get_user_model().objects.get(username="rita")
    assert (person.is_staff, person.is_superuser) == (False, False)


def test_who_has_an_account_keeps_it_and_has_the_new_role(workspace):
    password, _ = add()
    out, _ = add(role="viewer")
    person = authenticate(username="rita", password=password.strip())
    assert (out, role_of(workspace=workspace, user_id=person.pk)) == ("", "viewer")


def test_a_workspace_is_made_where_there_is_none():
    _, err = add(workspace="new")
    assert Workspace.objects.filter(slug="new").exists()
    assert "Made the workspace “new”" in err


@pytest.mark.parametrize(
    ("told", "named"), [({"user": "no spaces"}, "--user"), ({"workspace": "no spaces"}, "--workspace")]
)
def test_a_name_that_cannot_be_is_refused_and_nothing_is_made(told, named):
    with pytest.raises(CommandError, match=named):
        add(**told)
    assert (Membership.objects.count(), Workspace.objects.count()) == (0, 0)
