"""`/trained-models`: what was trained over many users, and training it anew."""

import pytest

from eval_app.models import ModelTraining
from retrieval_app.models import TrainedModel
from retrieval_app.services import ensure_encoder
from tests.eval_app.stored import a_base_model
from tests.eval_app.trained import METRICS, a_trained_model, a_training
from tests.people import TWEETS, questions_of, split_of
from users_app.erasure import erase_end_user
from users_app.models import Scope
from users_app.shared_training import set_agreement

MODELS = "/api/v1/trained-models"


@pytest.fixture
def dataset(workspace, alice, bob):
    for one in (alice, bob):
        set_agreement(workspace=workspace, end_user=one, agreed=True)
    for split in ("train", "dev"):
        made = split_of(questions_of(alice, bob), split=split)
    return made.dataset


@pytest.fixture
def trained(workspace, alice, bob, dataset):
    """A selector that has learned from Alice and Bob, with the training that made it."""
    made = a_trained_model(workspace, alice, bob)
    a_training(dataset, state="done", trained_model=made, base_model=a_base_model())
    return made


def test_one_is_told_with_how_it_was_made_and_nobody_is_named(api, trained):
    answer = api.get(f"{MODELS}/{trained.pk}")
    told = answer.json()
    assert (told["kind"], told["tasks"], told["state"]) == ("rspg-pre", [TWEETS], "ready")
    assert told["base_model"] == {"name": "some/t5", "revision": "1"}
    assert told["initial_model"] == {"name": "small", "revision": "abc"}
    assert [member["retriever"] for member in told["pool"]] == ["none", "bm25"]
    assert (told["participants"], told["erasures"], told["came_with_lamppost"]) == (2, 0, False)
    assert (told["metrics"], told["loss_curve"], told["steps"]) == (METRICS, [0.5, 0.25, 0.125], 3)
    assert "alice" not in answer.content.decode()


def test_they_are_listed_the_newest_first_with_those_that_came_with_lamppost(api, stranger_api, trained):
    shipped = a_trained_model(None, kind="rspg-post", tasks=["LaMP-1"])
    assert [(one["id"], one["came_with_lamppost"]) for one in api.get(MODELS).json()["data"]] == [
        (shipped.pk, True),
        (trained.pk, False),
    ]
    assert [one["id"] for one in stranger_api.get(MODELS).json()["data"]] == [shipped.pk]
    for query in ({"kind": "rspg-pre"}, {"task": TWEETS}):
        assert [one["id"] for one in api.get(MODELS, query).json()["data"]] == [trained.pk]


def test_withdrawn_ones_can_be_looked_for(api, trained):
    TrainedModel.objects.update(withdrawn_at=trained.created_at)
    assert api.get(MODELS, {"state": "ready"}).json()["data"] == []
    assert [one["state"] for one in api.get(MODELS, {"state": "withdrawn"}).json()["data"]] == ["withdrawn"]


def test_an_erasure_marks_what_has_learned_from_the_user(api, workspace, alice, trained):
    erase_end_user(workspace=workspace, end_user=alice)
    assert api.get(f"{MODELS}/{trained.pk}").json()["erasures"] == 1


def test_one_is_trained_anew_with_what_made_it(api, trained):
    answer = api.post(f"{MODELS}/{trained.pk}/retrain")
    told = answer.json()
    assert (answer.status_code, answer["Location"]) == (202, f"/api/v1/model-trainings/{told['id']}")
    assert (told["replaces"], told["state"], told["tasks"]) == (trained.pk, "feedback", [TWEETS])
    assert api.get(f"{MODELS}/{trained.pk}").json()["state"] == "ready"


def test_training_anew_with_the_same_key_begins_one(api, trained):
    headers = {"Idempotency-Key": "k"}
    first, again = (api.post(f"{MODELS}/{trained.pk}/retrain", headers=headers) for _ in range(2))
    assert (first.json()["id"], again["Idempotency-Replayed"]) == (again.json()["id"], "true")


def test_what_came_with_lamppost_is_not_trained_anew(api, dataset):
    refused = api.post(f"{MODELS}/{a_trained_model(None).pk}/retrain")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lamppost:problem:training-refused")
    assert not ModelTraining.objects.exists()


def test_what_is_not_on_record_any_more_is_not_trained_anew(api, workspace):
    refused = api.post(f"{MODELS}/{a_trained_model(workspace).pk}/retrain")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lamppost:problem:training-refused")


def test_one_that_is_marked_by_nobody_is_withdrawn_at_once_and_stays_so(api, trained):
    answer = api.post(f"{MODELS}/{trained.pk}/withdraw")
    assert (answer.status_code, answer.json()["state"]) == (200, "withdrawn")
    again = api.post(f"{MODELS}/{trained.pk}/withdraw")
    assert (again.status_code, again.json()["withdrawn_at"]) == (200, answer.json()["withdrawn_at"])
    entries = api.get("/api/v1/audit", {"action": "trained_model.withdrawn"}).json()["data"]
    assert [(one["subject"], one["details"]["kind"]) for one in entries] == [(str(trained.pk), "rspg-pre")]


def test_what_came_with_lamppost_is_not_withdrawn(api, workspace):
    shipped = a_trained_model(None)
    refused = api.post(f"{MODELS}/{shipped.pk}/withdraw")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lamppost:problem:withdrawal-refused")
    assert api.get(f"{MODELS}/{shipped.pk}").json()["state"] == "ready"


def test_nobody_withdraws_another_workspaces(stranger_api, trained):
    assert stranger_api.post(f"{MODELS}/{trained.pk}/withdraw").status_code == 404
    assert TrainedModel.objects.get().withdrawn_at is None


def test_a_selector_whose_pool_names_a_withdrawn_encoder_can_be_looked_for(api, workspace, trained):
    encoder = ensure_encoder(name="trained/x", revision="abc", dimension=2)
    a_trained_model(workspace, kind="ropg-kd", pool=[], encoder=encoder, withdrawn_at="2026-01-01T00:00Z")
    pool = [{"retriever": "none"}, {"retriever": "ropg-kd", "encoder": "trained/x", "encoder_revision": "abc"}]
    lacking = a_trained_model(workspace, pool=pool)
    assert [one["id"] for one in api.get(MODELS, {"state": "lacks-encoder"}).json()["data"]] == [lacking.pk]
    assert [one["id"] for one in api.get(MODELS, {"state": "ready"}).json()["data"]] == [trained.pk]


@pytest.mark.parametrize("what", ["retrain", "withdraw"])
def test_changing_one_takes_a_key_that_may_manage(api_key, client_of, trained, what):
    looking = client_of(api_key(scopes=[scope for scope in Scope if scope != Scope.MANAGE]))
    assert looking.post(f"{MODELS}/{trained.pk}/{what}").status_code == 403
