"""`GET /usage`, and what documents beyond a quota are answered."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.people import TWEETS
from tests.training_app.generations import asked
from users_app.models import Document, Quota, Scope, SharedTraining
from users_app.quotas import set_quotas
from users_app.shared_training import set_shared_training

ALICE = "/api/v1/users/alice/documents"


def document(name, text=None):
    return {"id": name, "task": TWEETS, "fields": {"text": text or f"text of {name}"}}


def stream(api, *documents):
    body = "\n".join(json.dumps(one) for one in documents)
    return api.post(ALICE, body.encode(), content_type="application/x-ndjson")


@pytest.fixture
def limit(workspace):
    """Set quotas of acme: `limit(documents=5)`."""

    def limit(**limits):
        set_quotas(workspace=workspace, limits={Quota(name): value for name, value in limits.items()})

    return limit


def test_usage_says_of_each_quota_what_there_may_be_and_what_there_is(api, alice, limit):
    limit(documents=10, generations_a_day=3)
    asked(alice)
    answer = api.get("/api/v1/usage")
    assert answer.status_code == 200
    found = {one["quota"]: one for one in answer.json()["data"]}
    assert list(found) == ["documents", "adapters", "bytes", "generations_a_day"]
    assert found["documents"] == {"quota": "documents", "limit": 10, "used": 5, "resets_at": None}
    assert (found["adapters"]["limit"], found["adapters"]["used"]) == (None, 0)
    assert (found["generations_a_day"]["limit"], found["generations_a_day"]["used"]) == (3, 1)
    resets_at = datetime.fromisoformat(found["generations_a_day"]["resets_at"])
    assert timedelta(0) < resets_at - datetime.now(UTC) <= timedelta(days=1)
    assert (resets_at.hour, resets_at.minute, resets_at.second) == (0, 0, 0)


def test_usage_is_the_keys_workspaces(stranger_api, alice, mallory):
    assert stranger_api.get("/api/v1/usage").json()["data"][0]["used"] == 3


@pytest.mark.parametrize("policy", SharedTraining.values)
def test_usage_says_whose_data_may_be_trained_on(api, workspace, policy):
    set_shared_training(workspace=workspace, policy=policy)
    assert api.get("/api/v1/usage").json()["shared_training"] == policy


def test_usage_needs_the_scope_read(api_key, client_of):
    others = client_of(api_key(scopes=[scope for scope in Scope if scope != Scope.READ]))
    assert others.get("/api/v1/usage").status_code == 403


class TestDocumentsBeyondAQuota:
    def test_are_refused_with_what_to_do(self, api, alice, limit):
        limit(documents=5)
        answer = api.post(ALICE, document("x"), format="json")
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:lamppost:problem:quota-exceeded")
        told = answer.json()
        assert (told["quota"], told["limit"], told["used"]) == ("documents", 5, 5)
        assert "Delete documents or users" in told["detail"]
        assert Document.objects.count() == 5

    def test_of_a_list_are_all_refused(self, api, alice, limit):
        limit(documents=6)
        answer = api.post(ALICE, [document("x"), document("y")], format="json")
        assert (answer.status_code, answer.json()["used"]) == (403, 5)
        assert Document.objects.count() == 5

    def test_can_be_asked_for_again_with_the_same_key_when_there_is_room(self, api, alice, limit):
        limit(documents=5)
        headers = {"Idempotency-Key": "k"}
        assert api.post(ALICE, document("x"), format="json", headers=headers).status_code == 403
        limit(documents=6)
        answer = api.post(ALICE, document("x"), format="json", headers=headers)
        assert (answer.status_code, answer.json()["created"]) == (200, 1)

    def test_of_a_stream_are_those_lines_that_have_no_room(self, api, alice, limit, monkeypatch):
        monkeypatch.setattr("users_app.api.documents.STREAMED_AT_ONCE", 2)
        limit(documents=8)
        answer = stream(api, *(document(f"d{n}") for n in range(4)), document("alice-0x", "text of d0"), document("z"))
        told = answer.json()
        assert answer.status_code == 200
        # Two fit; two more do not; the last two are one that stands already and one more.
        assert (told["created"], told["rejected"]) == (4, 2)
        assert [error["line"] for error in told["errors"]] == [3]
        assert "may have 8 documents; 7 are used" in told["errors"][0]["message"]
        assert Document.objects.count() == 8

    def test_of_a_stream_of_which_nothing_fits_are_refused_as_a_list_is(self, api, alice, limit):
        limit(documents=5)
        answer = stream(api, document("x"), document("y"))
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:lamppost:problem:quota-exceeded")
