"""A workspace defines a task, gives documents for it and asks: over HTTP, as with a task of the catalogue."""

import pytest

from tests.eval_app.stored import small_t5
from tests.lamp.own_tasks import REPLIES, changed
from tests.people import person
from training_app.models import Generation

ASKED = {
    "user": "carol",
    "task": "replies",
    "fields": {"question": "where are my roses"},
    "method": "rag",
    "k": 1,
    "max_output_tokens": 4,
    "num_beams": 1,
}


@pytest.fixture
def small(db, settings):
    """The small model of the repository, which a worker has loaded."""
    settings.DEFAULT_BASE_MODEL = "small"
    return small_t5()


@pytest.fixture
def defined(api, workspace):
    """The version of the task that Carol's documents are of."""
    person(workspace, "carol")
    return api.post("/api/v1/tasks", REPLIES).json()["version"]


def put(api, **fields):
    return api.post("/api/v1/users/carol/documents", {"id": "a", "task": "replies", "fields": fields})


def test_documents_and_generations_are_of_the_tasks_own_form(api, defined, small, in_process):
    assert put(api, question="when do roses bloom", reply="in june, and again in august").status_code in (200, 201)
    made = api.post("/api/v1/generations", ASKED).json()
    in_process("generate")
    done = Generation.objects.get(pk=made["id"])
    assert done.task_version == made["task_version"] == defined
    assert done.prompt == (
        'to "when do roses bloom" the reply was "in june, and again in august" . Write as before. '
        "Write a reply to the following question: where are my roses"
    )
    assert done.output


def test_a_document_without_one_of_the_tasks_fields_is_refused(api, defined):
    refused = put(api, question="when do roses bloom")
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == ["/fields/reply"]


def test_an_adapter_of_an_earlier_version_is_none_for_the_later_one(api, defined, small, in_process):
    put(api, question="when do roses bloom", reply="in june, and again in august")
    asked = {"user": "carol", "task": "replies", "hyperparameters": {"epochs": 1}}
    assert api.post("/api/v1/adapters", asked).status_code == 202
    in_process("train_adapter")
    wanted = {name: value for name, value in ASKED.items() if name != "k"} | {"method": "peft"}
    assert api.post("/api/v1/generations", wanted).status_code == 202
    api.post("/api/v1/tasks", changed(REPLIES, "/title", "Answers"))
    assert api.post("/api/v1/generations", wanted).json()["type"] == "urn:lamppost:problem:no-adapter"
    assert api.post("/api/v1/adapters", asked).status_code == 202
    in_process("train_adapter")
    assert api.post("/api/v1/generations", wanted).status_code == 202


def test_the_task_of_another_workspace_is_none(stranger_api, defined, mallory, small):
    refused = stranger_api.post("/api/v1/generations", {**ASKED, "user": "mallory"})
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == ["/task"]
