"""What is answered beyond the quotas of generations and adapters."""

from datetime import timedelta

import openai
import pytest
from django.db.models import F

from jobs.models import Job
from jobs.services import cancel
from tests.people import ASK, TWEETS, tweets_of
from tests.training_app.adapters import a_base_model, facts, plan_of
from tests.training_app.api.openai_client import openai_client
from tests.training_app.generations import answered, asked
from tests.usage import summed
from training_app.adapters import ensure_base_model, record_adapter
from training_app.models import Generation
from users_app.models import Document, Quota, Usage
from users_app.quotas import set_quotas

GENERATIONS = "/api/v1/generations"
ADAPTERS = "/api/v1/adapters"
ADAPTER = {"user": "alice", "task": TWEETS, "base_model": "some/t5"}


@pytest.fixture(autouse=True)
def unloaded(db):
    return a_base_model()


@pytest.fixture
def limit(workspace):
    """Set quotas of acme: `limit(adapters=1)`."""

    def limit(**limits):
        set_quotas(workspace=workspace, limits={Quota(name): value for name, value in limits.items()})

    return limit


def body(user="alice"):
    return {"user": user, "task": TWEETS, "fields": {"text": "roses and rain"}, "base_model": "some/t5"}


class TestGenerations:
    def test_beyond_the_days_are_refused_until_midnight(self, api, alice, limit):
        limit(generations_a_day=2)
        assert [api.post(GENERATIONS, body()).status_code for _ in range(3)] == [202, 202, 429]
        refused = api.post(GENERATIONS, body())
        assert refused.json()["type"] == "urn:lamppost:problem:quota-exceeded"
        told = refused.json()
        assert (told["quota"], told["limit"], told["used"]) == ("generations_a_day", 2, 2)
        assert 0 < int(refused["Retry-After"]) <= 86_400
        assert Generation.objects.count() == 2 == summed(alice.workspace)["generations_a_day"]

    def test_of_a_batch_are_all_refused(self, api, alice, limit):
        limit(generations_a_day=2)
        refused = api.post(f"{GENERATIONS}/batch", {"generations": [body()] * 3})
        assert (refused.status_code, refused.json()["used"]) == (429, 0)
        assert not Generation.objects.exists()
        assert not Job.objects.filter(kind="generate").exists()
        assert api.post(f"{GENERATIONS}/batch", {"generations": [body()] * 2}).status_code == 202

    def test_do_not_count_previews(self, api, alice, limit):
        limit(generations_a_day=0)
        assert api.post("/api/v1/previews", body()).status_code == 202
        assert api.post(GENERATIONS, body()).status_code == 429

    def test_that_were_deleted_count_to_the_end_of_the_day(self, api, alice, limit):
        limit(generations_a_day=1)
        asked(alice)
        Generation.objects.all().delete()
        assert api.post(GENERATIONS, body()).status_code == 429

    def test_that_were_refused_are_asked_for_by_the_same_key_the_next_day(self, api, alice, limit):
        limit(generations_a_day=1)
        asked(alice)
        headers = {"Idempotency-Key": "k"}
        assert [api.post(GENERATIONS, body(), headers=headers).status_code for _ in range(2)] == [429] * 2
        # What was counted is of yesterday.
        Usage.objects.filter(day__isnull=False).update(day=F("day") - timedelta(days=1))
        made, again = (api.post(GENERATIONS, body(), headers=headers) for _ in range(2))
        assert (made.status_code, made.get("Idempotency-Replayed")) == (202, None)
        assert (again.json()["id"], again["Idempotency-Replayed"]) == (made.json()["id"], "true")

    def test_that_are_asked_for_again_by_the_same_key_are_no_more(self, api, alice, limit):
        limit(generations_a_day=1)
        first, again = (api.post(GENERATIONS, body(), headers={"Idempotency-Key": "k"}) for _ in range(2))
        assert (first.status_code, again.status_code) == (202, 202)
        assert first.json()["id"] == again.json()["id"]

    def test_of_another_workspace_are_its_own(self, stranger_api, alice, mallory, limit):
        limit(generations_a_day=0)
        assert stranger_api.post(GENERATIONS, body("mallory")).status_code == 202

    def test_are_refused_to_clients_of_openai_as_there(self, api_key, alice, limit):
        limit(generations_a_day=0)
        ensure_base_model(name="some/t5", revision="1" * 40)
        client = openai_client(api_key().token)
        asking = {"model": "some/t5", "user": "alice", "messages": [{"role": "user", "content": ASK + "roses"}]}
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(**asking)
        assert (refused.value.code, refused.value.type) == ("insufficient_quota", "insufficient_quota")
        assert refused.value.param is None
        assert "may have 0 generations a day" in refused.value.message
        # The client would ask twice more.
        assert refused.value.response.headers["x-should-retry"] == "false"
        assert int(refused.value.response.headers["Retry-After"]) > 0


class TestFeedback:
    def test_that_makes_a_document_beyond_the_quota_is_refused_and_not_kept(self, api, alice, limit):
        generation = answered(alice)
        limit(documents=5)
        address = f"{GENERATIONS}/{generation.pk}/feedback"
        refused = api.post(address, {"rating": "accepted"})
        assert (refused.status_code, refused.json()["quota"]) == (403, "documents")
        generation.refresh_from_db()
        assert (generation.rating, Document.objects.count()) == ("", 5)
        assert api.post(address, {"rating": "rejected"}).status_code == 200


class TestAdapters:
    def test_beyond_the_quota_are_refused(self, api, alice, limit):
        record_adapter(end_user=alice, plan=plan_of(alice, tweets_of(alice)), facts=facts())
        limit(adapters=1)
        refused = api.post(ADAPTERS, ADAPTER, format="json")
        assert refused.status_code == 403
        told = refused.json()
        assert (told["type"], told["quota"]) == ("urn:lamppost:problem:quota-exceeded", "adapters")
        assert (told["limit"], told["used"]) == (1, 1)
        assert not Job.objects.filter(kind="train_adapter").exists()

    def test_count_those_in_training(self, api, alice, bob, limit):
        limit(adapters=1)
        first = api.post(ADAPTERS, ADAPTER, format="json")
        refused = api.post(ADAPTERS, {**ADAPTER, "user": "bob"}, format="json")
        assert (first.status_code, refused.status_code, refused.json()["used"]) == (202, 403, 1)
        cancel(first.json()["job"]["id"])
        assert api.post(ADAPTERS, {**ADAPTER, "user": "bob"}, format="json").status_code == 202

    def test_in_training_or_trained_are_found_though_the_quota_is_used_up(self, api, alice, limit):
        limit(adapters=1)
        first, again = (api.post(ADAPTERS, ADAPTER, format="json") for _ in range(2))
        assert first.json()["job"]["id"] == again.json()["job"]["id"]

    def test_are_refused_where_the_bytes_are_used_up(self, api, alice, limit):
        limit(bytes=summed(alice.workspace)["bytes"])
        refused = api.post(ADAPTERS, ADAPTER, format="json")
        assert (refused.status_code, refused.json()["quota"]) == (403, "bytes")
