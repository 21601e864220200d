"""API keys in the admin: shown once, never again, and revoked there."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.urls import reverse

from users_app.api_keys import recognise
from users_app.models import ApiKey

pytestmark = pytest.mark.django_db

TOKEN = re.compile(r"lp_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")


@pytest.fixture
def staff(client):
    client.force_login(get_user_model().objects.create_superuser("root", password="pw"))
    return client


@pytest.fixture
def make(staff, workspace):
    """Fill in the form."""

    def post(**fields):
        given = {"workspace": workspace.pk, "name": "ci", "scopes": ["read", "train"], **fields}
        return staff.post(reverse("admin:users_app_apikey_add"), given)

    return post


def test_the_form_can_be_seen(staff):
    assert staff.get(reverse("admin:users_app_apikey_add")).status_code == 200


def test_a_new_key_is_shown_and_works(make, workspace):
    answer = make()
    [token] = set(TOKEN.findall(answer.content.decode()))
    assert recognise(token).scopes == ["train", "read"]
    assert "no-store" in answer.headers["Cache-Control"]


def test_a_key_is_nowhere_afterwards(make, staff):
    [token] = set(TOKEN.findall(make().content.decode()))
    secret = token.rpartition("_")[2]
    key = ApiKey.objects.get()
    pages = [
        staff.get(reverse("admin:users_app_apikey_changelist")),
        staff.get(reverse("admin:users_app_apikey_change", args=[key.pk])),
        staff.get(reverse("admin:index")),
    ]
    assert all(page.status_code == 200 for page in pages)
    assert not any(secret in page.content.decode() for page in pages)
    assert not any(secret in str(vars(entry)) for entry in LogEntry.objects.all())
    assert secret not in str(dict(staff.session))
    assert secret not in str(staff.cookies)


@pytest.mark.parametrize(
    "fields",
    [{"scopes": []}, {"scopes": ["everything"]}, {"name": ""}, {"expires_at_0": "2001-01-01", "expires_at_1": "00:00"}],
)
def test_a_form_that_makes_no_sense_makes_nothing(make, fields):
    assert make(**fields).status_code == 200
    assert not ApiKey.objects.exists()


def test_nothing_of_a_key_is_edited(staff, api_key):
    issued = api_key(scopes=["read"])
    staff.post(reverse("admin:users_app_apikey_change", args=[issued.key.pk]), {"name": "x", "scopes": ["manage"]})
    key = recognise(issued.token)
    assert (key.name, key.scopes) == ("a program", ["read"])


def test_keys_are_revoked(staff, api_key):
    revoked, other = api_key(), api_key()
    staff.post(
        reverse("admin:users_app_apikey_changelist"), {"action": "revoke_keys", "_selected_action": [revoked.key.pk]}
    )
    assert recognise(revoked.token) is None
    assert recognise(other.token) is not None


def test_keys_are_not_deleted(staff, api_key):
    answer = staff.post(reverse("admin:users_app_apikey_delete", args=[api_key().key.pk]), {"post": "yes"})
    assert answer.status_code == 403
