"""`/adapters`: ask for one, list, look, delete."""

import pytest

from jobs.models import Job
from tests.people import give, tweets_of
from tests.training_app.adapters import facts
from training_app.adapter_requests import plan_from_profile
from training_app.adapters import ensure_base_model, record_adapter, withdraw_adapter
from training_app.models import Adapter
from users_app.services import ensure_end_user

ADAPTERS = "/api/v1/adapters"
ASK = {"user": "alice", "task": "LaMP-7"}


@pytest.fixture(autouse=True)
def base_model(db, settings):
    settings.DEFAULT_BASE_MODEL = "some/t5"
    return ensure_base_model(name="some/t5", revision="1" * 40)


@pytest.fixture
def stored(base_model):
    """Make an adapter stand, as if it had been trained."""

    def stored(end_user, content="c1", **chosen):
        plan = plan_from_profile(
            workspace=end_user.workspace,
            end_user=end_user,
            task=chosen.pop("task", "LaMP-7"),
            base_model=base_model,
            hyperparameters=chosen,
        )
        return record_adapter(end_user=end_user, plan=plan, facts=facts(content))

    return stored


def fields(response):
    return {error["field"] for error in response.json()["errors"]}


# --- asking


def test_an_adapter_is_asked_for_by_whose_and_of_what(api, alice):
    answer = api.post(ADAPTERS, ASK, format="json")
    job = Job.objects.get()
    assert answer.status_code == 202
    assert answer.json()["adapter"] is None
    assert (answer.json()["job"]["id"], answer.json()["job"]["state"]) == (job.pk, "waiting")
    assert answer["Location"] == f"/api/v1/jobs/{job.pk}"
    assert (job.kind, job.end_user_id) == ("train_adapter", alice.pk)


def test_what_is_chosen_is_what_is_trained_and_the_rest_is_the_paper_s(api, alice):
    chosen = {"rank": 4, "hyperparameters": {"epochs": 3, "learning_rate": 0.01}, "seed": 7, "exact": True}
    assert api.post(ADAPTERS, {**ASK, **chosen}, format="json").status_code == 202
    payload = Job.objects.get().payload
    assert payload["hyperparameters"] == {
        "rank": 4,
        "alpha": 32.0,
        "dropout": 0.1,
        "epochs": 3,
        "learning_rate": 0.01,
        "warmup_ratio": 0.05,
        "weight_decay": 1e-4,
        "batch_size": 16,
        "max_input_tokens": 512,
        "max_output_tokens": 128,
        "max_grad_norm": 1.0,
    }
    assert (payload["seed"], payload["exact"], payload["stored_dtype"]) == (7, True, "float32")
    assert payload["document_ids"] == [document.pk for document in tweets_of(alice)]


def test_asked_again_the_job_under_way_is_found(api, alice):
    first, again = (api.post(ADAPTERS, ASK, format="json") for _ in range(2))
    assert (again.status_code, again.json()) == (202, first.json())
    assert Job.objects.count() == 1


def test_an_adapter_that_stands_is_answered_at_once(api, alice, stored):
    standing = stored(alice)
    answer = api.post(ADAPTERS, ASK, format="json")
    assert (answer.status_code, answer.json()["job"]) == (200, None)
    assert answer.json()["adapter"]["id"] == standing.pk
    assert not Job.objects.exists()


def test_after_a_change_of_the_profile_another_one_is_made(api, alice, stored):
    stored(alice)
    give(alice, [{"text": "one more"}])
    assert api.post(ADAPTERS, ASK, format="json").status_code == 202


def test_one_idempotency_key_makes_one_job_whatever_happened_meanwhile(api, alice):
    headers = {"Idempotency-Key": "k1"}
    first = api.post(ADAPTERS, ASK, format="json", headers=headers)
    give(alice, [{"text": "one more"}])
    again = api.post(ADAPTERS, ASK, format="json", headers=headers)
    assert (again.status_code, again.json()["job"]["id"]) == (202, first.json()["job"]["id"])
    assert again["Idempotency-Replayed"] == "true"
    assert api.post(ADAPTERS, {**ASK, "seed": 1}, format="json", headers=headers).status_code == 422


def test_a_user_without_documents_is_told_what_to_do(api, alice):
    answer = api.post(ADAPTERS, {**ASK, "task": "LaMP-4"}, format="json")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:no-documents")
    assert "POST /api/v1/users" in answer.json()["detail"]
    assert not Job.objects.exists()


def test_before_any_base_model_is_loaded_it_says_when_to_come_again(api, alice, settings):
    settings.DEFAULT_BASE_MODEL = "another/t5"
    answer = api.post(ADAPTERS, ASK, format="json")
    assert (answer.status_code, answer["Retry-After"]) == (409, "5")
    assert Job.objects.get().kind == "record_default_models"


@pytest.mark.parametrize("user", ["nobody", "mallory"])
def test_a_user_of_nobody_or_of_another_workspace_is_not_found(api, mallory, user):
    assert api.post(ADAPTERS, {**ASK, "user": user}, format="json").status_code == 404


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"rank": 0}, "/rank"),
        ({"rank": 257}, "/rank"),
        ({"rank": "8"}, "/rank"),
        ({"seed": -1}, "/seed"),
        ({"exact": 1}, "/exact"),
        ({"hyperparameters": {"epochs": 1001}}, "/hyperparameters/epochs"),
        ({"hyperparameters": {"learning_rate": 0}}, "/hyperparameters/learning_rate"),
        ({"hyperparameters": {"rank": 8}}, "/hyperparameters/rank"),
        ({"hyperparameters": {"heads": 8}}, "/hyperparameters/heads"),
        ({"hyperparameters": []}, "/hyperparameters"),
        ({"task": "LaMP-99"}, "/task"),
        ({"base_model": "gpt"}, "/base_model"),
        ({"user": ""}, "/user"),
        ({"documents": []}, "/documents"),
    ],
)
def test_what_cannot_be_is_refused_by_the_field(api, alice, changed, field):
    answer = api.post(ADAPTERS, {**ASK, **changed}, format="json")
    assert (answer.status_code, fields(answer)) == (400, {field})
    assert not Job.objects.exists()


# --- looking


def test_one_adapter_says_how_it_was_made(api, alice, stored, base_model):
    adapter = stored(alice, rank=4)
    shown = api.get(f"{ADAPTERS}/{adapter.pk}").json()
    assert shown["user"] == "alice"
    assert shown["base_model"] == {"name": "some/t5", "revision": "1" * 40}
    assert (shown["rank"], repr(shown["hyperparameters"]["epochs"]), shown["documents"]) == (4, "50", 5)
    assert (shown["loss_curve"], shown["training_seconds"], shown["versions"]) == ([2.0, 1.0], 0.5, {"torch": "2"})
    assert (shown["state"], shown["withdrawn_at"], shown["size_bytes"]) == ("ready", None, 10)


def test_no_answer_names_documents_or_where_files_lie(api, alice, stored):
    text = api.get(f"{ADAPTERS}/{stored(alice).pk}").text + api.get(ADAPTERS).text
    assert "document_ids" not in text
    assert "adapters/c1" not in text


def test_the_list_begins_with_the_newest_and_goes_on_by_cursor(api, alice, bob, stored):
    ids = [stored(user, content=user.external_id, rank=rank).pk for user in (alice, bob) for rank in (2, 4)]
    first = api.get(f"{ADAPTERS}?limit=3").json()
    rest = api.get(f"{ADAPTERS}?limit=3&cursor={first['next_cursor']}").json()
    assert [row["id"] for row in first["data"] + rest["data"]] == sorted(ids, reverse=True)
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "users"),
    [
        ("user=alice", ["alice"]),
        ("user=nobody", []),
        ("user=mallory", []),
        ("task=LaMP-7", ["bob", "alice"]),
        ("task=LaMP-4", []),
        ("state=ready", ["bob"]),
        ("state=withdrawn", ["alice"]),
        ("base_model=some/t5", ["bob", "alice"]),
        ("base_model=other", []),
    ],
)
def test_the_list_is_filtered(api, alice, bob, mallory, stored, query, users):
    withdraw_adapter(adapter=stored(alice, "a"))
    stored(bob, "b")
    stored(mallory, "m")
    assert [row["user"] for row in api.get(f"{ADAPTERS}?{query}").json()["data"]] == users


def test_an_unknown_filter_is_refused(api, db):
    answer = api.get(f"{ADAPTERS}?state=lost&rank=8")
    assert (answer.status_code, fields(answer)) == (400, {"?state", "?rank"})


# --- the wall


def test_another_workspace_s_adapter_is_as_one_that_never_was(stranger_api, alice, stored):
    own = f"{ADAPTERS}/{stored(alice).pk}"
    for address in (own, f"{own}/download", f"{ADAPTERS}/999999"):
        assert stranger_api.get(address).status_code == 404
    assert stranger_api.delete(own).status_code == 404
    assert stranger_api.get(ADAPTERS).json()["data"] == []
    assert Adapter.objects.exists()


def test_equal_names_in_two_workspaces_are_two_people(api, stranger_api, alice, mallory, stored):
    stored(alice)
    ensure_end_user(workspace=mallory.workspace, external_id="alice")
    assert stranger_api.post(ADAPTERS, ASK, format="json").status_code == 409


# --- deleting


def test_a_deleted_adapter_is_gone(api, alice, stored):
    address = f"{ADAPTERS}/{stored(alice).pk}"
    assert api.delete(address).status_code == 204
    assert (api.get(address).status_code, api.delete(address).status_code) == (404, 404)


def test_one_in_use_is_not_deleted(api, alice, stored, base_model):
    adapter = stored(alice)
    alice.generations.create(
        task="LaMP-7", base_model=base_model, family="peft", adapter=adapter, parameters={}, input="?",
        profile_document_ids=[],
    )  # fmt: skip
    answer = api.delete(f"{ADAPTERS}/{adapter.pk}")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:adapter-in-use")
