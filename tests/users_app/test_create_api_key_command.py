"""`manage.py create_api_key`."""

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from users_app.api_keys import recognise
from users_app.models import ApiKey, Workspace

pytestmark = pytest.mark.django_db


def create(*options, workspace="acme", scopes=("read",)):
    out, err = io.StringIO(), io.StringIO()
    call_command(
        "create_api_key",
        "--workspace",
        workspace,
        "--name",
        "ci",
        "--scopes",
        *scopes,
        *options,
        stdout=out,
        stderr=err,
    )
    return out.getvalue(), err.getvalue()


def test_the_key_alone_goes_to_standard_output(workspace):
    out, err = create()
    key = recognise(out.removesuffix("\n"))
    assert (key.workspace, key.name, key.scopes, key.expires_at) == (workspace, "ci", ["read"], None)
    assert out.strip() not in err


def test_several_scopes(workspace):
    assert recognise(create(scopes=("read", "profiles"))[0].strip()).scopes == ["profiles", "read"]


def test_all_scopes(workspace):
    assert len(recognise(create(scopes=("all",))[0].strip()).scopes) == 5


def test_a_key_that_expires(workspace):
    expires_at = recognise(create("--expires-in-days", "2")[0].strip()).expires_at
    assert abs(expires_at - timezone.now() - timedelta(days=2)) < timedelta(minutes=1)


def test_a_rate_of_its_own(workspace):
    assert recognise(create("--requests-per-minute", "7")[0].strip()).requests_per_minute == 7


def test_a_new_workspace_is_made_and_said():
    assert "Made the workspace “fresh”" in create(workspace="fresh")[1]


@pytest.mark.parametrize(
    ("options", "workspace", "words"),
    [
        (("--expires-in-days", "0"), "acme", "expired already"),
        (("--expires-in-days", "99999999999"), "acme", "beyond the calendar"),
        (("--requests-per-minute", "0"), "acme", "1 or more"),
        ((), "no slug!", "--workspace"),
    ],
)
def test_what_makes_no_sense_makes_nothing(options, workspace, words):
    with pytest.raises(CommandError, match=words):
        create(*options, workspace=workspace)
    assert not ApiKey.objects.exists()
    assert not Workspace.objects.exists()
