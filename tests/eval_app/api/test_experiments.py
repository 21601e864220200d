"""`/experiments`: started over HTTP they are the same as from the command line, and go on as they do."""

import pytest
from django.core.management import call_command

from eval_app.experiment_settings import NUMBERS
from eval_app.experiments import advance_experiment, advance_stalled, record_provenance
from eval_app.models import Experiment, Run
from jobs.models import Job
from tests.eval_app.stored import a_base_model, answered_run, ended, small_t5
from tests.people import Asked, split_of, tweets_of
from training_app.hyperparameters import HYPERPARAMETERS
from users_app.erasure import erase_end_user
from users_app.models import Quota, Scope
from users_app.quotas import set_quotas

EXPERIMENTS = "/api/v1/experiments"
ASK = {"name": "first", "dataset": "tweets", "methods": ["none", "rag:bm25"]}


@pytest.fixture(autouse=True)
def base_model(db, settings):
    """A default one that is known and that nobody loads."""
    settings.DEFAULT_BASE_MODEL = "some/t5"
    return a_base_model()


def started(api, **body):
    answer = api.post(EXPERIMENTS, {**ASK, **body})
    assert answer.status_code == 202, answer.json()
    return answer.json()


# --- starting


def test_what_was_asked_is_told_with_every_default_and_where_its_end_will_be_seen(api, dev):
    answer = api.post(EXPERIMENTS, ASK)
    told = answer.json()
    assert (answer.status_code, answer["Location"]) == (202, f"{EXPERIMENTS}/{told['id']}")
    assert (told["name"], told["dataset"], told["split"], told["state"]) == ("first", "tweets", "dev", "active")
    papers = {name: bounds.default for name, bounds in HYPERPARAMETERS.items() if name != "rank"}
    assert told["asked"] == {
        "tasks": {"LaMP-7": 1},
        "methods": ["none", "rag:bm25"],
        "controls": [],
        "base_model": {"name": "some/t5", "revision": "1"},
        "encoder": None,
        "k": 4,
        "hyperparameters": papers,
        "users": None,
        "seed": 0,
        "num_beams": 4,
        "max_input_tokens": 512,
        "max_output_tokens": 128,
        "exact": False,
        "dtype": "float32",
        "adapter_dtype": "bfloat16",
        "reference": False,
    }
    assert [job.kind for job in Job.objects.all()] == ["record_provenance"]


def test_what_is_chosen_is_what_is_run(api, dev):
    chosen = {
        "methods": ["PEFT:4", "none"],
        "controls": ["swapped"],
        "tasks": ["lamp_7"],
        "k": 2,
        "users": 2,
        "seed": 7,
        "num_beams": 1,
        "max_input_tokens": 64,
        "max_output_tokens": 4,
        "exact": True,
        "hyperparameters": {"epochs": 1, "learning_rate": 0.01},
    }
    asked = started(api, **chosen)["asked"]
    assert {name: asked[name] for name in chosen if name not in ("methods", "tasks", "hyperparameters")} == {
        name: value for name, value in chosen.items() if name not in ("methods", "tasks", "hyperparameters")
    }
    assert (asked["methods"], asked["tasks"], asked["adapter_dtype"]) == (["peft:4", "none"], {"LaMP-7": 1}, "float32")
    assert {name: asked["hyperparameters"][name] for name in ("epochs", "learning_rate", "max_input_tokens")} == {
        "epochs": 1,
        "learning_rate": 0.01,
        "max_input_tokens": 64,
    }
    columns = list(Experiment.objects.get().columns.order_by("id").values_list("method", flat=True))
    assert columns == ["peft:4", "peft:4@swapped", "none"]


def test_the_same_name_with_the_same_settings_is_the_same_experiment(api, dev):
    assert started(api)["id"] == started(api)["id"]
    assert Experiment.objects.count() == 1


def test_the_same_name_with_other_settings_is_refused_and_they_are_named(api, dev):
    started(api)
    answer = api.post(EXPERIMENTS, {**ASK, "seed": 1, "k": 2})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:experiment-exists")
    assert answer.json()["differing"] == ["documents_wanted", "seed"]


def test_the_same_that_is_done_is_answered_at_once(api, dev):
    experiment = started(api, methods=["none"])
    run = answered_run(dev, ["rain", "bike", "gloves"])
    Experiment.objects.get().columns.update(run=run)
    Experiment.objects.update(state="done", finished_at=run.created_at, report={"truth": []})
    answer = api.post(EXPERIMENTS, {**ASK, "methods": ["none"]})
    assert (answer.status_code, answer.json()["id"], answer.json()["state"]) == (200, experiment["id"], "done")


def test_a_workspace_has_so_many_under_way(api, stranger_api, dev, mallory, settings):
    settings.EXPERIMENTS_AT_ONCE = 1
    first = started(api)
    refused = api.post(EXPERIMENTS, {**ASK, "name": "second"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lamppost:problem:too-many-experiments")
    assert not Experiment.objects.filter(name="second").exists()
    # The same again is not another one, and a workspace's are its own.
    assert started(api)["id"] == first["id"]
    split_of([Asked(mallory, "tweet: the banks", "they win", tweets_of(mallory))])
    started(stranger_api)
    api.post(f"{EXPERIMENTS}/{first['id']}/cancel")
    started(api, name="second")


def test_with_the_same_key_an_experiment_that_was_cancelled_does_not_begin_again(api, dev):
    first = api.post(EXPERIMENTS, ASK, headers={"Idempotency-Key": "one"}).json()
    api.post(f"{EXPERIMENTS}/{first['id']}/cancel")
    again = api.post(EXPERIMENTS, ASK, headers={"Idempotency-Key": "one"})
    assert (again.status_code, again.json()["state"], again["Idempotency-Replayed"]) == (200, "cancelled", "true")
    assert started(api)["state"] == "active"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"dataset": "unknown"}, "/dataset"),
        ({"split": "test"}, "/split"),
        ({"split": "all"}, "/split"),
        ({"tasks": []}, "/tasks"),
        ({"tasks": ["LaMP-7", "LaMP-99"]}, "/tasks/1"),
        ({"tasks": ["LaMP-4"]}, "/tasks"),
        ({"methods": []}, "/methods"),
        ({"methods": "none"}, "/methods"),
        ({"methods": ["none", "magic"]}, "/methods/1"),
        ({"methods": ["none", "none"]}, "/methods/1"),
        ({"methods": ["rag:bm25@swapped"]}, "/methods/0"),
        ({"methods": ["imported:mine"]}, "/methods/0"),
        ({"methods": ["none,rag:bm25"]}, "/methods/0"),
        ({"methods": ["peft:257"]}, "/methods/0"),
        ({"methods": ["none"] * 51}, "/methods"),
        ({"controls": ["shuffled"]}, "/controls/0"),
        ({"base_model": "nobody/knows"}, "/base_model"),
        ({"k": 0}, "/k"),
        ({"k": 51}, "/k"),
        ({"k": True}, "/k"),
        ({"users": 0}, "/users"),
        ({"seed": -1}, "/seed"),
        ({"num_beams": 17}, "/num_beams"),
        ({"max_input_tokens": 7}, "/max_input_tokens"),
        ({"max_output_tokens": 513}, "/max_output_tokens"),
        ({"hyperparameters": {"epochs": 0}}, "/hyperparameters/epochs"),
        ({"hyperparameters": {"epochs": 1001}}, "/hyperparameters/epochs"),
        ({"hyperparameters": {"rank": 8}}, "/hyperparameters/rank"),
        ({"hyperparameters": {"dropout": "0.1"}}, "/hyperparameters/dropout"),
        ({"exact": 1}, "/exact"),
        ({"workers": 2}, "/workers"),
    ],
    ids=str,
)
def test_what_cannot_be_run_is_refused_by_its_field_and_nothing_is_stored(api, dev, wrong, field):
    answer = api.post(EXPERIMENTS, {**ASK, **wrong})
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [field])
    assert all(error["remedy"] for error in answer.json()["errors"])
    assert not Experiment.objects.exists()


def test_a_method_that_no_task_allows_is_refused_with_the_reason(api, alice):
    split_of([Asked(alice, "tweet: hello", "hi", tweets_of(alice))], has_dates=False)
    answer = api.post(EXPERIMENTS, {**ASK, "methods": ["none", "rag:recency"]})
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["field"]) == (400, "/methods")
    assert "rag:recency needs dates" in error["message"]


def test_a_dataset_of_another_workspace_is_none(api, mallory):
    split_of([Asked(mallory, "tweet: hello", "hi", tweets_of(mallory))], dataset="theirs")
    answers = [api.post(EXPERIMENTS, {**ASK, "dataset": name}).json() for name in ("theirs", "nobodys")]
    assert answers[0]["errors"] == answers[1]["errors"]


def test_before_the_default_model_was_loaded_clients_are_told_to_come_again(api, dev, settings):
    settings.DEFAULT_BASE_MODEL = "small"
    answer = api.post(EXPERIMENTS, ASK)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:base-model-not-ready")
    assert int(answer["Retry-After"]) > 0
    assert [job.kind for job in Job.objects.all()] == ["record_default_models"]


@pytest.mark.parametrize("method", ["rag:contriever", "rag:best"])
def test_before_the_encoder_was_loaded_clients_are_told_to_come_again(api, dev, method):
    answer = api.post(EXPERIMENTS, {**ASK, "methods": [method]})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:encoder-not-ready")
    assert int(answer["Retry-After"]) > 0
    assert not Experiment.objects.exists()


# --- looking


def test_each_column_says_how_far_it_is(api, dev):
    run = answered_run(dev, ["rain", "bike", "gloves"])
    experiment = ended(dev, {"none": run, "rag:recency": "it has no dates"})
    assert api.get(f"{EXPERIMENTS}/{experiment.pk}").json()["columns"] == [
        {
            "task": "LaMP-7",
            "method": "none",
            "state": "done",
            "done": 3,
            "total": 3,
            "activity": "Done",
            "run_id": run.pk,
            "refusal": None,
        },
        {
            "task": "LaMP-7",
            "method": "rag:recency",
            "state": "refused",
            "done": 0,
            "total": 0,
            "activity": "refused",
            "run_id": None,
            "refusal": "it has no dates",
        },
    ]


def test_why_it_failed_is_told_without_the_server_s_folders(api, dev):
    experiment = ended(dev, {"none": "not run"})
    Experiment.objects.update(state="failed", error="Nothing lies in /srv/models/t5; mend it.")
    assert api.get(f"{EXPERIMENTS}/{experiment.pk}").json()["error"] == "Nothing lies in t5; mend it."


def test_they_are_listed_the_newest_first_and_filtered(api, stranger_api, dev):
    first, second = ended(dev, {"none": "x"}), started(api, name="second")
    assert [row["id"] for row in api.get(EXPERIMENTS).json()["data"]] == [second["id"], first.pk]
    assert [row["id"] for row in api.get(f"{EXPERIMENTS}?state=done").json()["data"]] == [first.pk]
    assert [row["id"] for row in api.get(f"{EXPERIMENTS}?name=second").json()["data"]] == [second["id"]]
    assert api.get(f"{EXPERIMENTS}?state=lost").json()["errors"][0]["field"] == "?state"
    assert stranger_api.get(EXPERIMENTS).json()["data"] == []
    assert stranger_api.get(f"{EXPERIMENTS}/{first.pk}").status_code == 404


# --- cancelling


def test_one_under_way_is_cancelled_and_again_changes_nothing(api, dev):
    experiment = started(api)
    answers = [api.post(f"{EXPERIMENTS}/{experiment['id']}/cancel") for _ in range(2)]
    assert [(answer.status_code, answer.json()["state"]) for answer in answers] == [(200, "cancelled")] * 2


def test_one_that_has_ended_is_not(api, dev):
    experiment = ended(dev, {"none": "not run"})
    answer = api.post(f"{EXPERIMENTS}/{experiment.pk}/cancel")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:experiment-not-cancellable")
    assert Experiment.objects.get().state == "done"


def test_a_stranger_cancels_nothing(stranger_api, api, dev):
    experiment = started(api)
    assert stranger_api.post(f"{EXPERIMENTS}/{experiment['id']}/cancel").status_code == 404
    assert Experiment.objects.get().state == "active"


def test_who_may_only_look_starts_and_cancels_nothing(api, api_key, client_of, dev):
    experiment = started(api)
    reader = client_of(api_key(scopes=[Scope.READ]))
    assert reader.get(f"{EXPERIMENTS}/{experiment['id']}").status_code == 200
    assert reader.post(f"{EXPERIMENTS}/{experiment['id']}/cancel").status_code == 403
    assert reader.post(EXPERIMENTS, ASK).status_code == 403


def test_one_that_would_train_more_adapters_than_there_may_be_fails_and_goes_on_when_there_is_room(
    api, dev, workspace, in_process
):
    set_quotas(workspace=workspace, limits={Quota.ADAPTERS: 1})
    experiment = started(api, methods=["peft:8"])
    in_process("record_provenance", "advance_experiment")
    told = api.get(f"{EXPERIMENTS}/{experiment['id']}").json()
    assert told["state"] == "failed"
    assert "may have 1 adapters; 0 are used" in told["error"]
    assert not Job.objects.filter(kind="train_adapter").exists()
    set_quotas(workspace=workspace, limits={Quota.ADAPTERS: 2})
    started(api, methods=["peft:8"])
    in_process("record_provenance", "advance_experiment")
    assert Job.objects.filter(kind="train_adapter", state="waiting").count() == 2


# --- the whole way, in workers


SHORT = {"num_beams": 1, "max_output_tokens": 4, "max_input_tokens": 128}


@pytest.fixture
def small(settings):
    settings.DEFAULT_BASE_MODEL = "small"
    return small_t5()


def test_it_runs_to_its_end_and_the_same_goes_on_from_the_command_line(api, dev, small, in_process, tmp_path):
    experiment = started(api, **SHORT)
    in_process()
    told = api.get(f"{EXPERIMENTS}/{experiment['id']}").json()
    assert (told["state"], told["error"]) == ("done", None)
    assert {column["state"] for column in told["columns"]} == {"done"}
    call_command(
        *("run_experiment", "--workspace", "acme", "--name", "first", "--dataset", "tweets", "--split", "dev"),
        *("--methods", "none,rag:bm25", "--base-model", "small", "--num-beams", "1", "--max-output-tokens", "4"),
        *("--max-input-tokens", "128", "--json", str(tmp_path / "table.json"), "--verbosity", "0"),
    )
    assert Experiment.objects.count() == 1
    table = api.get(f"{EXPERIMENTS}/{experiment['id']}/table")
    assert table.content.decode() == (tmp_path / "table.json").read_text()


def test_its_runs_say_where_they_were_made_as_those_of_the_command_do(api, dev, small, in_process):
    from workers import provenance

    experiment = started(api, **SHORT, methods=["none"])
    assert (experiment["versions"], experiment["hardware"]) == ({}, {})
    in_process()
    run = Run.objects.get()
    assert run.versions == provenance.versions()
    assert "torch" in run.versions
    assert run.hardware == provenance.hardware()
    told = api.get(f"{EXPERIMENTS}/{experiment['id']}").json()
    assert (told["versions"], told["hardware"]) == (run.versions, run.hardware)


def test_no_run_begins_before_it_is_known_where_it_is_made(api, dev, in_process):
    experiment = started(api)
    advance_experiment(experiment_id=experiment["id"])
    assert not Run.objects.exists()
    # Beat asks for the same, whatever was lost.
    Job.objects.all().delete()
    advance_stalled()
    assert [job.kind for job in Job.objects.all()] == ["record_provenance"]
    in_process("record_provenance")
    assert [job.kind for job in Job.objects.filter(state="waiting")] == ["advance_experiment"]


def test_while_no_model_worker_is_there_it_says_what_it_waits_for(api, dev):
    experiment = started(api)
    assert {column["activity"] for column in experiment["columns"]} == {"waiting for a model worker"}
    record_provenance(experiment_id=experiment["id"], versions={"torch": "2"}, hardware={})
    columns = api.get(f"{EXPERIMENTS}/{experiment['id']}").json()["columns"]
    assert {column["activity"] for column in columns} == {"waiting for its first step"}


def test_where_it_is_made_is_recorded_once(api, dev):
    experiment = started(api)
    for cores in (1, 2):
        record_provenance(experiment_id=experiment["id"], versions={"torch": "2"}, hardware={"cores": cores})
    assert Experiment.objects.get().hardware == {"cores": 1}


def test_one_that_was_cancelled_meanwhile_stays_so(api, dev, in_process):
    experiment = started(api)
    api.post(f"{EXPERIMENTS}/{experiment['id']}/cancel")
    in_process()
    assert api.get(f"{EXPERIMENTS}/{experiment['id']}").json()["state"] == "cancelled"
    assert not Run.objects.exists()


def test_after_an_erasure_the_experiment_stays_and_says_so(api, dev, alice, small, in_process):
    experiment = started(api, **SHORT)
    in_process()
    before = api.get(f"{EXPERIMENTS}/{experiment['id']}").json()
    erase_end_user(workspace=alice.workspace, end_user=alice)
    assert api.get(f"{EXPERIMENTS}/{experiment['id']}").json() == before
    cells = api.get(f"{EXPERIMENTS}/{experiment['id']}/table").json()["rows"][0]["cells"]
    assert {cell["erased"] for cell in cells.values()} == {1}
    for column in before["columns"]:
        run = api.get(f"/api/v1/runs/{column['run_id']}").json()
        assert run["erased_users"] == 1
        left = api.get(f"/api/v1/runs/{column['run_id']}/predictions").json()["data"]
        assert {prediction["user"] for prediction in left} == {"bob"}


def test_what_clients_may_choose_is_never_more_than_can_be_run():
    assert all(number.least <= number.most_shared <= number.most for number in NUMBERS.values())
    # An adapter is trained with them too, whichever way it is asked for.
    assert all(NUMBERS[name].most_shared == HYPERPARAMETERS[name].most for name in NUMBERS if name in HYPERPARAMETERS)
