"""`/datasets`: what was imported, and which version of it experiments use."""

import pytest

from common.objects import get_store
from eval_app.uploads import create_upload
from tests.eval_app.stored import a_base_model, start
from tests.people import Asked, questions_of, split_of, tweets_of

DATASETS = "/api/v1/datasets"


@pytest.fixture
def second(dev, alice, bob):
    """The dev split's next version."""
    return split_of(questions_of(alice, bob))


@pytest.fixture
def test_split(dev, alice):
    """Of the same dataset, without golds and dates."""
    unknown = Asked(alice, "tweet: hello", None, tweets_of(alice))
    return split_of([unknown], split="test", has_dates=False)


def test_a_dataset_shows_the_newest_version_of_each_split(api, dev, second, test_split):
    shown = api.get(f"{DATASETS}/{dev.dataset_id}").json()
    assert shown["name"] == "tweets"
    assert [(split["id"], split["split"], split["version"]) for split in shown["splits"]] == [
        (second.pk, "dev", 2),
        (test_split.pk, "test", 1),
    ]


def test_a_split_says_what_stands_in_it(api, dev):
    [split] = api.get(f"{DATASETS}/{dev.dataset_id}").json()["splits"]
    assert split.pop("imported_at").endswith("Z")
    assert split == {
        "id": dev.pk,
        "task": "LaMP-7",
        "split": "dev",
        "version": 1,
        "separation": "time",
        "questions": 3,
        "users": 2,
        "documents": 9,
        "profile_entries": 12,
        "has_golds": True,
        "has_oracle": False,
        "has_dates": True,
        "digest": dev.digest,
        "questions_digest": dev.questions_digest,
        "outputs_digest": dev.outputs_digest,
    }


def test_without_outputs_there_is_no_digest_of_them(api, test_split):
    test_split.outputs_digest = ""
    test_split.save()
    shown = api.get(f"{DATASETS}/{test_split.dataset_id}").json()["splits"]
    assert {split["split"]: split["outputs_digest"] for split in shown}["test"] is None


def test_every_version_is_listed_page_by_page(api, dev, second, test_split):
    address = f"{DATASETS}/{dev.dataset_id}/splits"
    first = api.get(f"{address}?limit=2").json()
    rest = api.get(f"{address}?limit=2&cursor={first['next_cursor']}").json()
    assert [split["id"] for split in first["data"] + rest["data"]] == [test_split.pk, second.pk, dev.pk]
    assert rest["next_cursor"] is None


def test_versions_are_filtered_by_task_and_split(api, dev, second, test_split):
    address = f"{DATASETS}/{dev.dataset_id}/splits"
    assert [split["id"] for split in api.get(f"{address}?split=test").json()["data"]] == [test_split.pk]
    assert api.get(f"{address}?task=LaMP-4").json()["data"] == []
    assert api.get(f"{address}?split=all").json()["errors"][0]["field"] == "?split"


def test_datasets_are_listed_the_newest_first_to_their_workspace_alone(api, stranger_api, dev, alice):
    another = split_of([Asked(alice, "tweet: hello", "hi", tweets_of(alice))], dataset="another")
    assert [row["name"] for row in api.get(DATASETS).json()["data"]] == ["another", "tweets"]
    assert stranger_api.get(DATASETS).json()["data"] == []
    for address in (f"{DATASETS}/{another.dataset_id}", f"{DATASETS}/{another.dataset_id}/splits"):
        assert stranger_api.get(address).status_code == 404


def test_a_dataset_is_deleted_by_a_job(api, dev, in_process):
    answer = api.delete(f"{DATASETS}/{dev.dataset_id}")
    assert (answer.status_code, answer.json()["kind"]) == (202, "delete_dataset")
    assert answer.headers["Location"] == f"/api/v1/jobs/{answer.json()['id']}"
    # It is listed no more at once.
    assert api.get(DATASETS).json()["data"] == []
    assert api.get(f"{DATASETS}/{dev.dataset_id}").status_code == 404
    assert api.delete(f"{DATASETS}/{dev.dataset_id}").json()["id"] == answer.json()["id"]
    in_process("delete_dataset")
    assert api.get(answer.headers["Location"]).json()["state"] == "done"
    assert api.delete(f"{DATASETS}/{dev.dataset_id}").status_code == 404


def test_a_dataset_in_use_is_not_deleted(api, dev):
    start(dev, methods="none", base_model=a_base_model())
    answer = api.delete(f"{DATASETS}/{dev.dataset_id}")
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (409, "dataset-in-use")
    assert "“first”" in answer.json()["detail"]
    assert api.get(f"{DATASETS}/{dev.dataset_id}").status_code == 200


def test_deleting_is_for_those_who_manage(api, api_key, client_of, stranger_api, dev):
    reader = client_of(api_key(scopes=["read", "profiles", "generate", "train"]))
    assert reader.delete(f"{DATASETS}/{dev.dataset_id}").status_code == 403
    assert stranger_api.delete(f"{DATASETS}/{dev.dataset_id}").status_code == 404
    assert len(api.get(DATASETS).json()["data"]) == 1


def test_the_log_says_which_program_had_it_deleted(api, dev):
    job = api.delete(f"{DATASETS}/{dev.dataset_id}").json()["id"]
    [entry] = api.get("/api/v1/audit?action=dataset.deleted").json()["data"]
    assert (entry["subject"], entry["details"]["job_id"]) == ("tweets", job)


def test_nothing_is_imported_into_a_dataset_that_is_being_deleted(api, dev, workspace):
    upload = create_upload(workspace=workspace, name="questions.json", size=2)
    get_store().put_bytes(upload.object_key, b"[]")
    api.delete(f"{DATASETS}/{dev.dataset_id}")
    body = {"dataset": "tweets", "split": "test", "questions": upload.pk}
    answer = api.post("/api/v1/imports", body)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (409, "dataset-being-deleted")
    get_store().delete(upload.object_key)
