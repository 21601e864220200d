"""Who may come in: a live API key, and nothing else."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone
from rest_framework.test import APIClient

from users_app.api_keys import revoke_api_key
from users_app.models import ApiKey

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.users_app.api.notes")]

ADDRESS = "/api/v1/notes"


def refused(response):
    """What a refusal tells, without the request's own name."""
    body = response.json()
    body.pop("request_id")
    return response.status_code, response.headers["WWW-Authenticate"], body


def ask(authorization):
    return APIClient(headers={"authorization": authorization}).get(ADDRESS)


def test_a_live_key_comes_in(api):
    assert api.get(ADDRESS).status_code == 200


def test_without_a_key_nobody_does():
    status, challenge, body = refused(APIClient().get(ADDRESS))
    assert (status, challenge, body["type"]) == (401, "Bearer", "urn:lamppost:problem:not-authenticated")


def test_revoked_expired_and_unknown_keys_are_refused_alike(api_key):
    revoked, expired, wrong = api_key(), api_key(), api_key()
    revoke_api_key(key=revoked.key)
    ApiKey.objects.filter(pk=expired.key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    tokens = [revoked.token, expired.token, wrong.token[:-4] + "AAAA", "lp_000000000000_" + "a" * 43, "lp_x"]
    answers = [refused(ask(f"Bearer {token}")) for token in tokens]
    assert answers[0][:2] == (401, "Bearer")
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic {token}",
        "{token}",
        "Token {token}",
        "Bearer {token} {token}",
        "Bearer\x00{token}",
    ],
)
def test_a_key_is_sent_as_a_bearer_token(api_key, authorization):
    assert ask(authorization.format(token=api_key().token)).status_code == 401


def test_the_schemes_case_does_not_matter(api_key):
    assert ask(f"bearer {api_key().token}").status_code == 200


def test_a_session_of_the_admin_does_not_come_in(client):
    client.force_login(get_user_model().objects.create_superuser("root", password="pw"))
    assert client.get(ADDRESS).status_code == 401


def test_a_key_in_the_address_does_not_come_in(api_key):
    assert APIClient().get(ADDRESS, {"key": api_key().token}).status_code == 401


def test_a_key_that_expires_later_comes_in(api_key, client_of):
    issued = api_key(expires_at=timezone.now() + timedelta(minutes=1))
    assert client_of(issued).get(ADDRESS).status_code == 200


def test_no_refusal_quotes_the_key(api_key, caplog):
    token = api_key().token[:-1] + "!"
    assert token not in ask(f"Bearer {token}").content.decode()
    assert token not in caplog.text
