"""API keys: made, recognised, revoked; only a hash of their secret is kept."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from users_app.api_keys import KeyRefused, create_api_key, recognise, revoke_api_key
from users_app.models import ApiKey, Scope


def stored(key):
    """Everything that the key's row holds, as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(k)::text FROM users_app_apikey AS k WHERE id = %s", [key.pk])
        return cursor.fetchone()[0]


def last_use(issued):
    return ApiKey.objects.get(pk=issued.key.pk).last_used_at


def test_a_key_is_recognised_with_its_workspace(api_key, workspace):
    issued = api_key()
    with CaptureQueriesContext(connection) as queries:
        assert recognise(issued.token).workspace == workspace
    assert len([query for query in queries if query["sql"].startswith("SELECT")]) == 1


def test_a_keys_secret_is_not_stored(api_key):
    issued = api_key()
    secret = issued.token.removeprefix(f"{issued.key.prefix}_")
    assert len(secret) == 43
    assert secret not in stored(issued.key)
    assert secret not in repr(issued)


def test_two_keys_share_nothing(api_key):
    assert api_key().token[3:15] != api_key().token[3:15]


@pytest.mark.parametrize("change", [str.upper, lambda token: token + "a", lambda token: token[:-1], lambda token: ""])
def test_a_changed_key_is_not_recognised(api_key, change):
    assert recognise(change(api_key().token)) is None


def test_anothers_secret_does_not_open(api_key):
    mine, other = api_key(), api_key()
    assert recognise(mine.key.prefix + other.token[len(other.key.prefix) :]) is None


def test_a_revoked_key_is_not_recognised(api_key):
    issued = api_key()
    assert revoke_api_key(key=issued.key)
    assert recognise(issued.token) is None
    assert not revoke_api_key(key=issued.key)


def test_an_expired_key_is_not_recognised(api_key):
    issued = api_key(expires_at=timezone.now() + timedelta(hours=1))
    assert recognise(issued.token) is not None
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert recognise(issued.token) is None


def test_use_is_noted_once_a_minute(api_key):
    issued = api_key()
    recognise(issued.token)
    first = last_use(issued)
    with CaptureQueriesContext(connection) as queries:
        recognise(issued.token)
    assert not [query for query in queries if query["sql"].startswith("UPDATE")]
    ApiKey.objects.update(last_used_at=first - timedelta(seconds=61))
    recognise(issued.token)
    assert last_use(issued) >= first


def test_a_wrong_secret_notes_no_use(api_key):
    issued = api_key()
    recognise(issued.token[:-4] + "AAAA")
    assert last_use(issued) is None


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"scopes": []}, "needs a scope"),
        ({"scopes": ["everything"]}, "no scope everything"),
        ({"expires_at": timezone.now() - timedelta(days=1)}, "expired already"),
        ({"name": ""}, "blank"),
        ({"name": "x" * 101}, "100"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(api_key, told, words):
    with pytest.raises(KeyRefused, match=words):
        api_key(**told)


def test_scopes_stand_once_and_in_order(workspace):
    issued = create_api_key(workspace=workspace, name="x", scopes=["read", "profiles", "read"])
    assert issued.key.scopes == ["profiles", "read"]


@pytest.mark.parametrize("scopes", [[], ["everything"]])
def test_the_database_keeps_no_unknown_scope(api_key, scopes):
    key = api_key().key
    with pytest.raises(IntegrityError, match="api_key_scopes_are_known"), transaction.atomic():
        ApiKey.objects.filter(pk=key.pk).update(scopes=scopes)


def test_every_scope_is_known_by_name():
    assert set(Scope.values) == {"profiles", "generate", "train", "read", "manage"}
