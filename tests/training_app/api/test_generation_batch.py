import pytest

from tests.people import TWEETS
from tests.training_app.adapters import a_base_model
from training_app.models import Generation

ADDRESS = "/api/v1/generations/batch"


@pytest.fixture(autouse=True)
def unloaded(db):
    return a_base_model()


def one(user="alice", **told):
    return {"user": user, "task": TWEETS, "fields": {"text": "roses and rain"}, "base_model": "some/t5", **told}


def test_many_are_asked_for_at_once_in_their_order(api, alice, bob):
    asked = api.post(ADDRESS, {"generations": [one("bob"), one("alice", k=1), one("bob")]})
    assert asked.status_code == 202
    assert [row["user"] for row in asked.data["data"]] == ["bob", "alice", "bob"]
    assert [row["state"] for row in asked.data["data"]] == ["waiting"] * 3
    assert "Location" not in asked


def test_what_is_wrong_with_any_of_them_is_said_at_once_and_none_is_asked_for(api, alice):
    refused = api.post(ADDRESS, {"generations": [one(), one(task="LaMP-99"), one(method="none", k=3)]})
    assert refused.status_code == 400
    assert [error["field"] for error in refused.data["errors"]] == ["/generations/1/task", "/generations/2/k"]
    assert not Generation.objects.exists()


def test_a_user_who_does_not_exist_is_named_by_place(api, alice):
    refused = api.post(ADDRESS, {"generations": [one(), one("nobody")]})
    assert (refused.status_code, refused.data["errors"][0]["field"]) == (404, "/generations/1/user")


@pytest.mark.parametrize("number", [0, 101])
def test_one_to_a_hundred_are_asked_for(api, alice, number):
    refused = api.post(ADDRESS, {"generations": [one()] * number})
    assert (refused.status_code, refused.data["errors"][0]["field"]) == (400, "/generations")


def test_a_repeated_request_has_one_effect(api, alice, bob):
    first, again = (
        api.post(ADDRESS, {"generations": [one("bob"), one()]}, headers={"idempotency-key": "once"}) for _ in range(2)
    )
    assert first.data == again.data
    assert Generation.objects.count() == 2
