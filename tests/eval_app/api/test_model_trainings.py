"""`/model-trainings`: selectors and encoders are trained over HTTP as from the command line."""

import pytest

from eval_app.model_trainings import step_training
from eval_app.models import Experiment, ModelTraining
from eval_app.selector_runs import DEFAULT_POOL, HYPERPARAMETERS
from jobs.models import Job
from retrieval_app.services import ensure_encoder
from tests.eval_app.stored import a_base_model
from tests.eval_app.trained import a_job_that_trains, a_training, at_work
from tests.people import TWEETS, questions_of, split_of
from training_app.adapters import ensure_base_model
from users_app.models import Scope
from users_app.shared_training import set_agreement, set_shared_training

TRAININGS = "/api/v1/model-trainings"
ASK = {"kind": "rspg-pre", "dataset": "tweets", "pool": ["none", "bm25"]}


@pytest.fixture(autouse=True)
def base_model(db, settings):
    """A default one that is known and that nobody loads."""
    settings.DEFAULT_BASE_MODEL = "some/t5"
    return a_base_model()


@pytest.fixture
def dataset(workspace, alice, bob):
    """Tweets with train and dev splits, of people who have all agreed."""
    for one in (alice, bob):
        set_agreement(workspace=workspace, end_user=one, agreed=True)
    for split in ("train", "dev"):
        made = split_of(questions_of(alice, bob), split=split)
    return made.dataset


def begun(api, **body):
    answer = api.post(TRAININGS, {**ASK, **body})
    assert answer.status_code == 202, answer.json()
    return answer.json()


# --- beginning


def test_what_was_asked_is_told_with_every_default_and_where_its_end_will_be_seen(api, dataset):
    answer = api.post(TRAININGS, ASK)
    told = answer.json()
    assert (answer.status_code, answer["Location"]) == (202, f"{TRAININGS}/{told['id']}")
    assert (told["kind"], told["dataset"], told["tasks"], told["state"]) == ("rspg-pre", "tweets", [TWEETS], "feedback")
    assert told["base_model"] == {"name": "some/t5", "revision": "1"}
    assert told["asked"] == {
        "pool": [{"retriever": "none", "encoder": None}, {"retriever": "bm25", "encoder": None}],
        "encoder": None,
        "initial_model": "allenai/longformer-base-4096",
        "k": 4,
        "hyperparameters": {name: bounds.default for name, bounds in HYPERPARAMETERS.items()},
        "users": None,
        "seed": 0,
        "num_beams": 4,
        "max_input_tokens": 512,
        "max_output_tokens": 128,
        "exact": False,
        "dtype": "float32",
    }
    assert ModelTraining.objects.get().begun_by == "a program"


def test_what_is_chosen_is_what_is_trained(api, dataset):
    chosen = {"k": 2, "users": 2, "seed": 7, "num_beams": 1, "max_input_tokens": 64, "max_output_tokens": 4}
    asked = begun(api, **chosen, exact=True, tasks=["lamp_7"], hyperparameters={"epochs": 3})["asked"]
    assert {name: asked[name] for name in chosen} == chosen
    assert (asked["exact"], asked["hyperparameters"]["epochs"]) == (True, 3)


def test_the_pool_is_all_kinds_of_retrieval_unless_said(api, dataset):
    ensure_encoder(name="facebook/contriever", revision="abc", dimension=2)
    pool = begun(api, pool=list(DEFAULT_POOL))["asked"]["pool"]
    again = api.post(f"{TRAININGS}/{ModelTraining.objects.get().pk}/cancel")
    assert again.status_code == 200
    body = {name: value for name, value in ASK.items() if name != "pool"}
    assert api.post(TRAININGS, body).json()["asked"]["pool"] == pool
    assert pool[-1] == {"retriever": "contriever", "encoder": {"name": "facebook/contriever", "revision": "abc"}}


def test_with_the_small_base_model_goes_the_small_encoder(api, dataset):
    ensure_base_model(name="small", revision="1")
    assert begun(api, base_model="small")["asked"]["initial_model"] == "small"


def test_repeating_with_the_same_key_begins_one(api, dataset):
    headers = {"Idempotency-Key": "k"}
    first, again = (api.post(TRAININGS, ASK, headers=headers) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    assert (again.headers["Idempotency-Replayed"], ModelTraining.objects.count()) == ("true", 1)


# --- refusals


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "telepathy"}, "/kind"),
        ({"dataset": "nothing"}, "/dataset"),
        ({"tasks": ["LaMP-1"]}, "/tasks"),
        ({"tasks": [TWEETS, "LaMP-99"]}, "/tasks/1"),
        ({"base_model": "other/t5"}, "/base_model"),
        ({"pool": ["none"]}, "/pool"),
        ({"pool": ["none", "rspg-pre"]}, "/pool/1"),
        ({"pool": ["none", "none"]}, "/pool"),
        ({"pool": ["none", "ropg-kd"]}, "/pool"),
        ({"k": 0}, "/k"),
        ({"k": 51}, "/k"),
        ({"hyperparameters": {"epochs": 0}}, "/hyperparameters/epochs"),
        ({"hyperparameters": {"epochs": 1.5}}, "/hyperparameters/epochs"),
        ({"hyperparameters": {"epochs": "1"}}, "/hyperparameters/epochs"),
        ({"hyperparameters": {"epochs": 51}}, "/hyperparameters"),
        ({"hyperparameters": {"a/b": 1}}, "/hyperparameters/a~1b"),
        ({"initial_model": "/etc"}, "/initial_model"),
        ({"seed": -1}, "/seed"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_its_field(api, dataset, body, field):
    refused = api.post(TRAININGS, {**ASK, **body})
    assert (refused.status_code, [error["field"] for error in refused.json()["errors"]]) == (400, [field])
    assert all(error["remedy"] for error in refused.json()["errors"])
    assert not ModelTraining.objects.exists()


def test_without_both_splits_there_is_nothing_to_train_on(api, dev):
    refused = api.post(TRAININGS, ASK)
    assert (refused.status_code, refused.json()["errors"][0]["field"][:5]) == (400, "/data")


@pytest.mark.parametrize("policy", ["nobody", "agreed"])
def test_without_consent_nothing_is_begun(api, workspace, alice, bob, dataset, policy):
    for one in (alice, bob):
        set_agreement(workspace=workspace, end_user=one, agreed=False)
    set_shared_training(workspace=workspace, policy=policy)
    refused = api.post(TRAININGS, ASK)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lamppost:problem:no-consent")
    assert not ModelTraining.objects.exists()


def test_the_same_is_not_trained_twice_at_once(api, dataset):
    begun(api)
    refused = api.post(TRAININGS, ASK)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lamppost:problem:training-refused")


def test_a_workspace_has_so_many_under_way(api, dataset, settings):
    settings.MODEL_TRAININGS_AT_ONCE = 1
    first = begun(api)
    refused = api.post(TRAININGS, {**ASK, "seed": 1})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lamppost:problem:too-many-trainings")
    api.post(f"{TRAININGS}/{first['id']}/cancel")
    begun(api, seed=1)


def test_a_training_of_more_steps_than_a_worker_is_lent_for_is_refused_with_what_would_make_it_shorter(
    api, dataset, settings
):
    # 3 questions, two a step, three times.
    long = {**ASK, "hyperparameters": {"epochs": 3, "batch_size": 2}}
    settings.MODEL_TRAINING_STEPS = 5
    [error] = api.post(TRAININGS, long).json()["errors"]
    assert error["field"] == "/hyperparameters"
    assert "come to 6 steps" in error["message"]
    assert "Choose a larger batch_size, fewer epochs or users" in error["message"]
    assert not ModelTraining.objects.exists()
    assert not Job.objects.exists()
    settings.MODEL_TRAINING_STEPS = 6
    assert api.post(TRAININGS, long).status_code == 202


def test_an_encoder_judges_so_many_documents_at_most(api, dataset):
    ensure_encoder(name="facebook/contriever", revision="abc", dimension=2)
    body = {"kind": "ropg-kd", "dataset": "tweets", "tasks": [TWEETS], "hyperparameters": {"judged_documents": 33}}
    [error] = api.post(TRAININGS, body).json()["errors"]
    assert "judged_documents is 33, and a workspace may ask for 32 at most" in error["message"]
    body["hyperparameters"] = {"judged_documents": 32}
    assert api.post(TRAININGS, body).status_code == 202


def test_a_dense_pool_waits_for_its_encoder(api, dataset):
    refused = api.post(TRAININGS, {**ASK, "pool": ["none", "contriever"]})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lamppost:problem:encoder-not-ready")


# --- looking


def test_trainings_are_listed_the_newest_first_and_filtered(api, stranger_api, dataset):
    done, failed = a_training(dataset, state="done"), a_training(dataset, state="failed", kind="rspg-post", error="x")
    listed = api.get(TRAININGS).json()["data"]
    assert [one["id"] for one in listed] == [failed.pk, done.pk]
    assert [one["error"] for one in listed] == ["x", None]
    for query in ({"state": "failed"}, {"kind": "rspg-post"}):
        assert [one["id"] for one in api.get(TRAININGS, query).json()["data"]] == [failed.pk]
    assert stranger_api.get(TRAININGS).json()["data"] == []


def test_errors_tell_no_path_of_the_server(api, dataset):
    training = a_training(dataset, state="failed", error="Nothing lies in /srv/models/small.")
    assert api.get(f"{TRAININGS}/{training.pk}").json()["error"] == "Nothing lies in small."


def test_feedback_s_progress_is_that_of_its_experiments(api, dataset):
    told = begun(api)
    step_training(training_id=told["id"])
    now = api.get(f"{TRAININGS}/{told['id']}").json()
    assert now["feedback"] == list(Experiment.objects.order_by("pk").values_list("pk", flat=True))
    assert (now["progress"]["done"], now["progress"]["total"]) == (0, 4)


def test_training_s_progress_is_that_of_its_job(api, dataset):
    training = a_training(dataset, state="training")
    assert api.get(f"{TRAININGS}/{training.pk}").json()["progress"]["total"] == 0
    job = a_job_that_trains(training)
    waiting = api.get(f"{TRAININGS}/{training.pk}").json()["progress"]
    at_work(job, done=3, total=9, message="step 3")
    assert waiting == {"done": 0, "total": 0, "message": "waiting for a worker"}
    assert api.get(f"{TRAININGS}/{training.pk}").json()["progress"] == {"done": 3, "total": 9, "message": "step 3"}


def test_one_that_has_ended_has_no_progress(api, dataset):
    assert api.get(f"{TRAININGS}/{a_training(dataset, state='done').pk}").json()["progress"] is None


# --- cancelling and resuming


def test_a_cancelled_one_can_be_resumed(api, dataset):
    address = f"{TRAININGS}/{begun(api)['id']}"
    cancelled, again = api.post(f"{address}/cancel"), api.post(f"{address}/cancel")
    assert [(one.status_code, one.json()["state"]) for one in (cancelled, again)] == [(200, "cancelled")] * 2
    resumed = api.post(f"{address}/resume")
    assert (resumed.status_code, resumed.json()["state"], resumed.json()["finished_at"]) == (202, "feedback", None)


def test_one_that_has_ended_cannot_be_cancelled(api, dataset):
    refused = api.post(f"{TRAININGS}/{a_training(dataset, state='done').pk}/cancel")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lamppost:problem:training-not-cancellable")
    assert refused.json()["state"] == "done"


def test_one_that_is_done_has_nothing_to_resume(api, dataset):
    answer = api.post(f"{TRAININGS}/{a_training(dataset, state='done').pk}/resume")
    assert (answer.status_code, answer.json()["state"]) == (200, "done")


def test_resuming_asks_for_consent_again(api, workspace, dataset):
    address = f"{TRAININGS}/{begun(api)['id']}"
    api.post(f"{address}/cancel")
    set_shared_training(workspace=workspace, policy="nobody")
    refused = api.post(f"{address}/resume")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lamppost:problem:no-consent")


def test_resuming_is_counted_too(api, dataset, settings):
    settings.MODEL_TRAININGS_AT_ONCE = 1
    ended = a_training(dataset, state="failed", seed=3)
    begun(api)
    refused = api.post(f"{TRAININGS}/{ended.pk}/resume")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lamppost:problem:too-many-trainings")


@pytest.mark.parametrize("more", ["", "/cancel", "/resume"])
def test_changing_takes_a_key_that_may_manage(api_key, client_of, dataset, more):
    looking = client_of(api_key(scopes=[scope for scope in Scope if scope != Scope.MANAGE]))
    address = TRAININGS if not more else f"{TRAININGS}/{a_training(dataset).pk}{more}"
    assert looking.post(address, ASK).status_code == 403
    assert looking.get(TRAININGS).status_code == 200
