"""`/users/{id}/serving` and `/users/{id}/serving-choices`."""

import pytest

from tests.people import tweets_of
from tests.training_app.adapters import a_base_model, facts, plan_of
from tests.training_app.serving import chosen
from training_app.adapters import record_adapter, withdraw_adapter
from training_app.models import ServingChoice
from users_app.models import AuditEntry

SERVING = "/api/v1/users/alice/serving"
CHOICES = "/api/v1/users/alice/serving-choices"


@pytest.fixture(autouse=True)
def base_model(db, settings):
    settings.DEFAULT_BASE_MODEL = "some/t5"
    return a_base_model()


def adapter_of(end_user, seed=0):
    return record_adapter(end_user=end_user, plan=plan_of(end_user, tweets_of(end_user), seed=seed), facts=facts())


def test_what_serves_is_said_for_each_task_and_base_model(api, alice):
    assert api.get(SERVING).json() == {"data": []}
    adapter = adapter_of(alice)
    chosen(alice, adapter, better_than_none=True)
    (found,) = api.get(SERVING).json()["data"]
    assert (found["task"], found["base_model"]["name"], found["adapter"], found["why"]) == (
        "LaMP-7",
        "some/t5",
        adapter.pk,
        "It was measured.",
    )
    assert (found["choice"]["better_than_none"], found["choice"]["by"]) == (True, "retraining")


def test_a_client_rolls_back_and_sees_it_in_the_history(api, alice):
    older, newer = adapter_of(alice), adapter_of(alice, seed=1)
    chosen(alice, newer)
    answer = api.post(CHOICES, {"task": "lamp_7", "adapter": older.pk, "reason": "It was better."}, format="json")
    assert answer.status_code == 201
    assert (answer.json()["adapter"], answer.json()["by"], answer.json()["reason"]) == (
        older.pk,
        "person",
        "It was better.",
    )
    assert api.get(SERVING).json()["data"][0]["adapter"] == older.pk
    assert [one["adapter"] for one in api.get(CHOICES).json()["data"]] == [older.pk, newer.pk]
    assert AuditEntry.objects.get(action="serving.chosen").actor == "api_key"


def test_before_the_default_model_was_loaded_clients_are_told_to_come_again(api, alice, settings):
    settings.DEFAULT_BASE_MODEL = "small"
    answer = api.post(CHOICES, {"task": "LaMP-7", "adapter": None}, format="json")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:base-model-not-ready")
    assert int(answer["Retry-After"]) > 0
    assert not ServingChoice.objects.exists()


def test_none_is_chosen_by_null(api, alice):
    adapter_of(alice)
    answer = api.post(CHOICES, {"task": "LaMP-7", "adapter": None}, format="json")
    assert (answer.status_code, answer.json()["serves_none"]) == (201, True)
    assert api.get(SERVING).json()["data"][0]["adapter"] is None


def test_a_repeated_request_chooses_once(api, alice):
    adapter = adapter_of(alice)
    for _ in range(2):
        answer = api.post(
            CHOICES, {"task": "LaMP-7", "adapter": adapter.pk}, format="json", headers={"Idempotency-Key": "once"}
        )
        assert answer.status_code == 201
    assert ServingChoice.objects.count() == 1


def test_what_cannot_serve_is_refused_with_what_to_do(api, alice, bob, mallory):
    withdrawn = adapter_of(alice)
    withdraw_adapter(adapter=withdrawn)
    for number in (withdrawn.pk, adapter_of(bob).pk, adapter_of(mallory).pk, 10**6):
        answer = api.post(CHOICES, {"task": "LaMP-7", "adapter": number}, format="json")
        assert answer.status_code == 400
        (error,) = answer.json()["errors"]
        assert error["field"] == "/adapter"
        assert "GET /api/v1/adapters" in error["remedy"]
    assert (
        api.post(CHOICES, {"task": "unheard-of", "adapter": None}, format="json").json()["errors"][0]["field"]
        == "/task"
    )
    assert not ServingChoice.objects.exists()


def test_a_stranger_sees_and_chooses_nothing(stranger_api, alice):
    adapter = adapter_of(alice)
    chosen(alice, adapter)
    assert stranger_api.get(SERVING).status_code == 404
    assert stranger_api.get(CHOICES).status_code == 404
    assert stranger_api.post(CHOICES, {"task": "LaMP-7", "adapter": adapter.pk}, format="json").status_code == 404
