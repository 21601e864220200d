"""`/users`: people, under the client's own ids."""

from urllib.parse import quote

import pytest

from tests.people import OF_ALICE, TWEETS, person, tweets_of
from tests.whereabouts import traces
from tests.workers.asked import ask_for_adapter
from training_app.models import Adapter
from users_app.models import EndUser


def test_a_user_is_made_once(api, workspace):
    made, again = api.put("/api/v1/users/carol"), api.put("/api/v1/users/carol")
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json()["id"] == "carol"
    assert made.json()["documents"] == {}
    assert made.json()["created_at"].endswith("Z")
    assert EndUser.objects.get(workspace=workspace).external_id == "carol"


@pytest.mark.parametrize("name", ["a b", "50%", "me@example.com", "Ünï", "a?b#c", "x" * 255, "😀"], ids=str)
def test_an_id_is_taken_as_it_is(api, name):
    address = f"/api/v1/users/{quote(name, safe='')}"
    assert api.put(address).json()["id"] == name
    assert api.get(address).json()["id"] == name


@pytest.mark.parametrize("name", ["x" * 256, "a\nb", "a/b"], ids=["long", "control", "slash"])
def test_an_id_that_cannot_be_one_is_not_found(api, name):
    assert api.put(f"/api/v1/users/{quote(name, safe='')}").status_code == 404


def test_a_user_has_agreed_to_nothing_until_it_is_said(api):
    assert api.put("/api/v1/users/carol").json()["agreed_to_shared_training"] is False
    assert api.get("/api/v1/users").json()["data"][0]["agreed_to_shared_training"] is False


def test_what_a_user_agreed_to_stays_until_they_say_otherwise(api, alice):
    def told(body=None):
        return api.put("/api/v1/users/alice", body, format="json").json()["agreed_to_shared_training"]

    agreed, unsaid = told({"agreed_to_shared_training": True}), told()
    since = EndUser.objects.get(pk=alice.pk).agreed_to_shared_training_at
    again = told({"agreed_to_shared_training": True})
    assert (agreed, unsaid, again) == (True, True, True)
    assert EndUser.objects.get(pk=alice.pk).agreed_to_shared_training_at == since
    assert told({"agreed_to_shared_training": False}) is False
    assert EndUser.objects.get(pk=alice.pk).agreed_to_shared_training_at is None


def test_a_new_user_may_agree_at_once(api):
    answer = api.put("/api/v1/users/carol", {"agreed_to_shared_training": True}, format="json")
    assert (answer.status_code, answer.json()["agreed_to_shared_training"]) == (201, True)


@pytest.mark.parametrize("wrong", [None, "yes", 1])
def test_an_agreement_is_a_plain_yes_or_no(api, workspace, wrong):
    refused = api.put("/api/v1/users/carol", {"agreed_to_shared_training": wrong}, format="json")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "/agreed_to_shared_training")
    assert not EndUser.objects.filter(workspace=workspace).exists()


def test_nothing_else_is_to_be_said_of_a_user(api):
    refused = api.put("/api/v1/users/carol", {"name": "Carol"}, format="json")
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "/name"
    assert api.put("/api/v1/users/carol", {}, format="json").status_code == 201


def test_a_user_shows_how_large_the_profile_is(api, alice):
    assert api.get("/api/v1/users/alice").json()["documents"] == {TWEETS: len(OF_ALICE)}


def test_users_are_listed_page_by_page_the_newest_first(api, workspace, mallory):
    for name in "abc":
        person(workspace, name)
    first = api.get("/api/v1/users", {"limit": 2}).json()
    rest = api.get("/api/v1/users", {"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [[user["id"] for user in page["data"]] for page in (first, rest)] == [["c", "b"], ["a"]]
    assert rest["next_cursor"] is None


def test_a_stranger_finds_nobody_and_erases_nobody(stranger_api, alice):
    for answer in (stranger_api.get("/api/v1/users/alice"), stranger_api.delete("/api/v1/users/alice")):
        assert answer.status_code == 404
        assert "alice" not in answer.content.decode()
    assert tweets_of(alice)


class TestErasure:
    def test_answers_with_a_receipt_that_names_nobody(self, api, alice, in_process):
        ask_for_adapter(alice)
        in_process("train_adapter")
        answer = api.delete("/api/v1/users/alice")
        assert answer.status_code == 200
        receipt = answer.json()
        assert receipt["scope"] == "end_user"
        assert receipt["removed"]["documents"] == 5
        assert receipt["removed"]["objects"] == 2
        assert receipt["finished_at"] is not None
        assert traces(end_user_id=alice.pk, words=["alice", *(fields["text"] for fields in OF_ALICE)]) == []

    def test_again_finds_nobody(self, api, alice):
        api.delete("/api/v1/users/alice")
        assert api.delete("/api/v1/users/alice").status_code == 404
        assert api.get("/api/v1/users/alice").status_code == 404
        assert api.get("/api/v1/users/alice/documents").status_code == 404

    def test_needs_a_key_that_may_manage(self, client_of, api_key, alice):
        refused = client_of(api_key(scopes=["profiles"])).delete("/api/v1/users/alice")
        assert refused.status_code == 403
        assert tweets_of(alice)

    def test_leaves_no_answer_for_repeated_requests(self, api, alice):
        body = {"id": "x", "task": TWEETS, "fields": {"text": "hello"}}
        headers = {"Idempotency-Key": "k"}
        assert api.post("/api/v1/users/alice/documents", body, format="json", headers=headers).status_code == 200
        api.delete("/api/v1/users/alice")
        api.put("/api/v1/users/alice")
        again = api.post("/api/v1/users/alice/documents", body, format="json", headers=headers)
        assert "Idempotency-Replayed" not in again.headers
        assert again.json()["created"] == 1

    def test_is_not_finished_while_files_are_left(self, api, alice, monkeypatch):
        from common.objects import ObjectStore, ObjectStoreUnavailable

        def away(*_):
            raise ObjectStoreUnavailable("away")

        ask_for_adapter(alice)
        monkeypatch.setattr(ObjectStore, "delete_prefix", away)
        answer = api.delete("/api/v1/users/alice")
        assert answer.status_code == 202
        assert answer.json()["finished_at"] is None
        assert api.get(answer.headers["Location"]).json() == answer.json()
        assert not Adapter.objects.exists()

    def test_its_receipts_are_listed_for_the_workspace_alone(self, api, stranger_api, alice, bob):
        receipts = [api.delete(f"/api/v1/users/{user.external_id}").json() for user in (alice, bob)]
        assert api.get("/api/v1/erasures").json()["data"] == receipts[::-1]
        assert stranger_api.get("/api/v1/erasures").json()["data"] == []
        assert stranger_api.get(f"/api/v1/erasures/{receipts[0]['id']}").status_code == 404
