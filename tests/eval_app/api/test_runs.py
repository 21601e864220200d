"""`/experiments/{id}/runs` and `/runs/{id}`: what stands behind the table's columns."""

import pytest

from eval_app.models import Run
from tests.eval_app.stored import HYPERPARAMETERS, PARAMETERS, a_run, answered_run, ended

ANSWERS = ["rain", "bike", "gloves"]


@pytest.fixture
def none_run(dev):
    return answered_run(dev, ANSWERS)


@pytest.fixture
def experiment(dev, none_run):
    best = answered_run(dev, ANSWERS, method="rag:bm25")
    swapped = answered_run(dev, ANSWERS, method="rag:bm25@swapped")
    return ended(
        dev, {"none": none_run, "rag:best": best, "rag:best@swapped": swapped, "rag:recency": "it has no dates"}
    )


def test_columns_come_in_the_table_s_order_with_their_runs(api, experiment):
    rows = api.get(f"/api/v1/experiments/{experiment.pk}/runs").json()["data"]
    told = [(row["method"], row["run"] and row["run"]["method"], row["refusal"]) for row in rows]
    assert told == [
        ("none", "none", None),
        ("rag:best", "rag:bm25", None),
        ("rag:best@swapped", "rag:bm25@swapped", None),
        ("rag:recency", None, "it has no dates"),
    ]
    assert rows[0]["run"]["metrics"] == Run.objects.earliest("pk").metrics


def test_columns_are_paged_and_filtered(api, experiment):
    address = f"/api/v1/experiments/{experiment.pk}/runs"
    first = api.get(f"{address}?limit=3").json()
    rest = api.get(f"{address}?limit=3&cursor={first['next_cursor']}").json()
    assert [len(page["data"]) for page in (first, rest)] == [3, 1]
    assert len(api.get(f"{address}?state=done").json()["data"]) == 3
    assert api.get(f"{address}?task=LaMP-4").json()["data"] == []


def test_a_run_says_everything_that_it_was_made_of(api, dev):
    run = a_run(dev, "peft:8", seed=3, user_limit=1)
    told = api.get(f"/api/v1/runs/{run.pk}").json()
    for name in ("created_at", "started_at"):
        assert told.pop(name).endswith("Z")
    assert told == {
        "id": run.pk,
        "version": run.identity,
        "method": "peft:8",
        "task": "LaMP-7",
        "state": "pending",
        "questions": 2,
        "metrics": None,
        "erased_users": 0,
        "error": None,
        "finished_at": None,
        "split": {
            "dataset": "tweets",
            "dataset_id": dev.dataset_id,
            "split": "dev",
            "version": 1,
            "digest": dev.digest,
        },
        "base_model": {"name": "some/t5", "revision": "1"},
        "encoder": None,
        "k": 0,
        "hyperparameters": {**HYPERPARAMETERS, "rank": 8},
        "adapter_dtype": "bfloat16",
        "parameters": PARAMETERS,
        "seed": 3,
        "users": 1,
        "costs": None,
        "versions": {"torch": "2"},
        "hardware": {"cores": 2},
    }


def test_a_run_that_has_ended_says_how_well_and_at_what_cost(api, none_run):
    told = api.get(f"/api/v1/runs/{none_run.pk}").json()
    assert (told["state"], told["metrics"], told["adapter_dtype"]) == ("done", none_run.metrics, None)
    assert told["costs"]["adapters"] == 0
    assert told["finished_at"] is not None


def test_one_that_was_predicted_elsewhere_has_no_model(api, dev):
    run = Run.objects.create(
        workspace=dev.dataset.workspace, split=dev, identity="1", family="imported", question_count=3, state="done"
    )
    told = api.get(f"/api/v1/runs/{run.pk}").json()
    assert (told["method"], told["base_model"]) == ("imported", None)


def test_why_one_failed_is_told_without_the_server_s_folders(api, none_run):
    Run.objects.update(state="failed", error="Nothing lies in /srv/models/t5.")
    assert api.get(f"/api/v1/runs/{none_run.pk}").json()["error"] == "Nothing lies in t5."


def test_a_stranger_sees_none(stranger_api, experiment, none_run):
    for address in (f"experiments/{experiment.pk}/runs", f"runs/{none_run.pk}"):
        assert stranger_api.get(f"/api/v1/{address}").status_code == 404
