"""`/users/{user_id}/export`: everything that is stored of a person, and nothing of anybody else."""

import io
import json
import zipfile

import pytest

from common.objects import get_store
from tests import people
from tests.eval_app.stored import start
from tests.eval_app.trained import a_trained_model
from tests.people import OF_ALICE, OF_BOB, TWEETS
from tests.workers.asked import ask
from training_app.models import Adapter
from users_app.profiles import NewDocument, put_documents
from users_app.shared_training import set_agreement


@pytest.fixture
def exported(api):
    """The archive as it comes, opened."""

    def exported(name="alice"):
        answer = api.get(f"/api/v1/users/{name}/export")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/zip"
        archive = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))
        assert archive.testzip() is None
        return archive

    return exported


def lines(archive, path):
    return [json.loads(line) for line in archive.read(path).decode().splitlines()]


@pytest.fixture
def busy(alice, bob, in_process):
    """An experiment over both, and an output for Alice."""
    start(people.split_of(people.questions_of(alice, bob)), "none,rag:bm25,peft:8", controls=["swapped"])
    in_process()
    ask(alice, retriever="bm25")
    in_process("generate")


def test_the_profile_stands_in_a_file_for_each_task(exported, alice):
    put_documents(
        workspace=alice.workspace,
        end_user=alice,
        documents=[
            NewDocument(TWEETS, "alice-0", {"text": "changed"}),
            NewDocument("LaMP-5", "t", {"title": "a title", "abstract": "of a paper"}),
        ],
    )
    archive = exported()
    tweets = lines(archive, f"profile/{TWEETS}.jsonl")
    assert [line["id"] for line in tweets] == ["alice-1", "alice-2", "alice-3", "alice-4", "alice-0"]
    assert tweets[0]["fields"] == OF_ALICE[1]
    assert [line["fields"] for line in lines(archive, f"former_documents/{TWEETS}.jsonl")] == [OF_ALICE[0]]
    assert lines(archive, "profile/LaMP-5.jsonl")[0]["fields"]["title"] == "a title"
    assert lines(archive, "end_user.json")[0]["id"] == "alice"


def test_which_models_learned_from_the_person_is_said_and_whether_they_agreed(exported, alice, bob):
    set_agreement(workspace=alice.workspace, end_user=alice, agreed=True)
    model = a_trained_model(alice.workspace, alice, bob)
    a_trained_model(alice.workspace, bob)
    archive = exported()
    assert lines(archive, "end_user.json")[0]["agreed_to_shared_training_at"] is not None
    [told] = lines(archive, "trained_models.jsonl")
    assert (told["id"], told["kind"], told["tasks"]) == (model.pk, "rspg-pre", ["LaMP-7"])


def test_what_was_made_for_the_person_is_there(exported, busy, alice):
    archive = exported()
    [generation] = lines(archive, "generations.jsonl")
    assert generation["output"] is not None
    assert generation["model"] == "small"
    [adapter] = Adapter.objects.filter(end_user=alice)
    assert [one["id"] for one in lines(archive, "adapters.jsonl")] == [adapter.pk]
    for info in get_store().list(adapter.object_prefix):
        name = info.key.removeprefix(adapter.object_prefix)
        assert archive.read(f"adapters/{adapter.pk}/{name}") == get_store().get_bytes(info.key, max_bytes=10**9)
    assert len(lines(archive, "experiments/questions.jsonl")) == 2
    assert len(lines(archive, "experiments/predictions.jsonl")) == 2 * 3


def test_nobody_elses_words_are(exported, busy):
    """Not even what controls answered to her questions, which was made of his profile."""
    archive = exported()
    everything = b"".join(archive.read(name) for name in archive.namelist()).decode(errors="replace")
    assert OF_ALICE[0]["text"] in everything
    assert not any(fields["text"] in everything for fields in OF_BOB)


def test_a_person_without_anything_has_an_archive_too(exported, workspace):
    people.person(workspace, "carol")
    archive = exported("carol")
    assert lines(archive, "generations.jsonl") == []


def test_a_stranger_gets_nothing(stranger_api, client_of, api_key, alice):
    assert stranger_api.get("/api/v1/users/alice/export").status_code == 404
    assert client_of(api_key(scopes=["profiles"])).get("/api/v1/users/alice/export").status_code == 403


def test_so_many_are_sent_at_once(api, alice, bob):
    address = "/api/v1/users/alice/export"
    open_ones = [api.get(address) for _ in range(3)]
    refused = api.get(address)
    assert (refused.status_code, refused.data["type"]) == (503, "urn:lamppost:problem:busy")
    assert refused.headers["Retry-After"]
    for answer in open_ones:
        list(answer.streaming_content)  # which closes it
    last = api.get(address)
    assert last.status_code == 200
    list(last.streaming_content)


def test_head_makes_no_archive(api, alice):
    for _ in range(10):
        answer = api.head("/api/v1/users/alice/export")
        assert (answer.status_code, answer.streaming, answer.content) == (200, False, b"")
