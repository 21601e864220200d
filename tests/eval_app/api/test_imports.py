"""`/imports`: uploaded files become a split, by the same job and the same checks as from the command line."""

import hashlib
import json
import shutil
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections

from common.objects import get_store
from eval_app import import_sweeps
from eval_app.import_requests import kept_sources
from eval_app.import_sweeps import sweep_uploads
from eval_app.models import DatasetSplit, Question, Upload
from jobs import origins
from jobs.models import Job
from jobs.runner import run_waiting
from tests.eval_app.api.uploading import IMPORTS, UPLOADS, as_bytes, asked, put, uploaded
from tests.lamp.lamp_files import headline_question, outputs, truth, tweet_question
from tests.webhooks import webhook
from users_app.erasure import erase_end_user
from users_app.models import EndUser, Quota
from users_app.quotas import set_quotas

pytestmark = pytest.mark.django_db(transaction=True)

QUESTIONS = [tweet_question("1"), tweet_question("2")]
GOLDS = outputs("LaMP_7", {"1": "one", "2": "two"})
ASK = {"dataset": "lamp", "split": "dev"}


@pytest.fixture(autouse=True)
def empty_store():
    get_store().ensure_bucket()
    for prefix in ("uploads/", "imports/", "sources/"):
        get_store().delete_prefix(prefix)


def stored(prefix):
    return [info.key for info in get_store().list(prefix)]


def run(api, **body):
    """Ask for an import and let it run; its job as the API shows it."""
    answer = api.post(IMPORTS, {**ASK, **body})
    assert answer.status_code == 202, answer.json()
    run_waiting(["import_dataset"])
    return api.get(answer["Location"]).json()


def test_who_started_one_stands_in_the_audit_log(api):
    answer = api.post(IMPORTS, {**ASK, "questions": uploaded(api, QUESTIONS)})
    [entry] = api.get("/api/v1/audit?action=import.started").json()["data"]
    assert (entry["subject"], entry["details"]) == ("lamp/dev", {"job_id": answer.json()["id"]})
    assert (entry["actor"]["kind"], entry["actor"]["name"]) == ("api_key", "a program")


def test_uploaded_files_become_a_split_and_are_deleted(api):
    questions, golds = uploaded(api, QUESTIONS), uploaded(api, GOLDS, filename="outputs.json")
    job = run(api, questions=questions, outputs=golds)
    assert (job["state"], job["kind"], job["error"]) == ("done", "import_dataset", None)
    told = {name: job["result"][name] for name in ("changed", "task", "split", "version", "questions", "has_golds")}
    assert told == {
        "changed": True,
        "task": "LaMP-7",
        "split": "dev",
        "version": 1,
        "questions": 2,
        "has_golds": True,
    }
    assert list(Question.objects.order_by("position").values_list("gold", flat=True)) == ["one", "two"]
    assert (stored("uploads/"), Upload.objects.count()) == ([], 0)
    assert api.get(f"{UPLOADS}/{questions}").status_code == 404


def test_the_truth_comes_along(api):
    oracle = truth("LaMP_7", dev={"1": "the oracle", "2": "the oracle"})
    job = run(
        api,
        questions=uploaded(api, QUESTIONS),
        outputs=uploaded(api, GOLDS),
        truth=uploaded(api, oracle, filename="truth.json"),
    )
    assert (job["state"], job["result"]["new_oracle"]) == ("done", True)
    assert set(Question.objects.values_list("oracle_answer", flat=True)) == {"the oracle"}


def test_while_it_waits_its_uploads_are_held(api):
    questions = uploaded(api, QUESTIONS)
    assert api.post(IMPORTS, {**ASK, "questions": questions}).status_code == 202
    assert api.get(f"{UPLOADS}/{questions}").json()["state"] == "importing"
    again = api.post(IMPORTS, {**ASK, "questions": questions})
    assert (again.status_code, again.json()["type"]) == (409, "urn:lamppost:problem:upload-in-use")
    assert [error["field"] for error in again.json()["errors"]] == ["/questions"]
    assert Job.objects.count() == 1


def test_asked_for_by_two_at_once_it_is_imported_once(api_key, client_of, api):
    body = {**ASK, "questions": uploaded(api, QUESTIONS)}
    clients = [client_of(api_key()) for _ in range(4)]

    def ask(client):
        try:
            return client.post(IMPORTS, body).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(clients)) as pool:
        assert sorted(pool.map(ask, clients)) == [202, 409, 409, 409]
    assert Job.objects.count() == 1


def test_files_that_are_not_in_order_say_where_and_what_to_do_and_can_be_imported_again(api):
    questions, golds = uploaded(api, QUESTIONS), uploaded(api, outputs("LaMP_7", {"1": "x"}), filename="golds.json")
    job = run(api, questions=questions, outputs=golds)
    assert (job["state"], job["attempts"]) == ("failed", 1)
    assert job["error"]["message"].startswith("golds.json")
    assert not DatasetSplit.objects.exists()
    # One of the two was right, and need not be sent again.
    assert api.get(f"{UPLOADS}/{questions}").json()["state"] == "open"
    assert run(api, questions=questions, outputs=uploaded(api, GOLDS))["state"] == "done"


def test_the_field_of_a_question_is_named(api):
    wrong = [tweet_question("1"), tweet_question("1")]
    job = run(api, questions=uploaded(api, wrong, filename="mine.json"))
    assert job["error"]["message"].startswith('mine.json, question 1, field "id": is the id of an earlier question')


def test_a_cancelled_import_gives_its_uploads_back(api):
    questions = uploaded(api, QUESTIONS)
    job = api.post(IMPORTS, {**ASK, "questions": questions}).json()
    assert api.post(f"/api/v1/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    assert api.delete(f"{UPLOADS}/{questions}").status_code == 204
    assert stored("uploads/") == []


def test_the_same_files_again_change_nothing_and_others_make_the_next_version(api):
    assert run(api, questions=uploaded(api, QUESTIONS))["result"]["version"] == 1
    again = run(api, questions=uploaded(api, QUESTIONS))["result"]
    assert (again["changed"], again["version"]) == (False, 1)
    assert run(api, questions=uploaded(api, [tweet_question("3")]))["result"]["version"] == 2


def test_a_task_that_is_said_is_checked(api):
    job = run(api, questions=uploaded(api, QUESTIONS), task="LaMP-4")
    assert job["state"] == "failed"
    assert "LaMP-4" in job["error"]["message"]


def test_sent_again_with_the_same_key_there_is_one_import_even_after_it_has_ended(api):
    body = {**ASK, "questions": uploaded(api, QUESTIONS)}
    first = api.post(IMPORTS, body, headers={"Idempotency-Key": "one"})
    run_waiting(["import_dataset"])
    again = api.post(IMPORTS, body, headers={"Idempotency-Key": "one"})
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert (again["Idempotency-Replayed"], again.json()["state"]) == ("true", "done")


# --- what is refused


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"dataset": "a b"}, "/dataset"),
        ({"dataset": "x" * 101}, "/dataset"),
        ({"split": "validation"}, "/split"),
        ({"task": "LaMP-99"}, "/task"),
        ({"separation": "random"}, "/separation"),
        ({"questions": 999_999_999}, "/questions"),
        ({"questions": "1"}, "/questions"),
        ({"outputs": 999_999_999}, "/outputs"),
        ({"keep_source": 1}, "/keep_source"),
        ({"file": "x"}, "/file"),
    ],
    ids=str,
)
def test_what_cannot_be_imported_is_refused_by_its_field(api, wrong, field):
    answer = api.post(IMPORTS, {**ASK, "questions": uploaded(api, QUESTIONS), **wrong})
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [field])
    assert not Job.objects.exists()
    assert not Upload.objects.exclude(import_id="").exists()


def test_one_upload_cannot_be_two_files(api):
    questions = uploaded(api, QUESTIONS)
    answer = api.post(IMPORTS, {**ASK, "questions": questions, "outputs": questions})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "/outputs")


def test_an_upload_of_another_workspace_is_none(api, stranger_api):
    theirs = api.post(IMPORTS, {**ASK, "questions": uploaded(stranger_api, QUESTIONS)})
    nobodys = api.post(IMPORTS, {**ASK, "questions": 999_999_999})
    assert theirs.status_code == nobodys.status_code == 400
    assert theirs.json()["errors"] == nobodys.json()["errors"]
    assert not Upload.objects.exclude(import_id="").exists()


def test_a_file_that_has_not_come_is_named(api):
    questions, golds = uploaded(api, QUESTIONS), asked(api, GOLDS)
    answer = api.post(IMPORTS, {**ASK, "questions": questions, "outputs": golds["id"]})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:upload-incomplete")
    assert answer.json()["errors"][0]["field"] == "/outputs"
    # Nothing is held by what was refused.
    assert api.get(f"{UPLOADS}/{questions}").json()["state"] == "open"


@pytest.mark.parametrize("come", [b"[]", as_bytes(QUESTIONS) + b" "], ids=["less", "more"])
def test_a_file_of_another_size_than_was_said_is_refused(api, come):
    upload = asked(api, QUESTIONS)
    put(upload, come)
    answer = api.post(IMPORTS, {**ASK, "questions": upload["id"]})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:lamppost:problem:upload-incomplete")
    assert f"{len(come):,} were put" in answer.json()["detail"]


# --- what changes after it was looked at


def test_a_file_that_was_replaced_by_a_larger_one_is_not_read(api):
    upload = asked(api, QUESTIONS)
    put(upload, QUESTIONS)
    job = api.post(IMPORTS, {**ASK, "questions": upload["id"]}).json()
    put(upload, as_bytes(QUESTIONS) + b" " * 1000)
    run_waiting(["import_dataset"])
    job = api.get(f"/api/v1/jobs/{job['id']}").json()
    assert (job["state"], job["attempts"]) == ("failed", 1)
    assert job["error"]["message"].startswith("questions.json: there are not as many bytes of it as there should be.")
    assert not DatasetSplit.objects.exists()


def test_a_digest_that_was_declared_is_held_against_what_came(api):
    digest = hashlib.sha256(as_bytes(QUESTIONS)).hexdigest()
    good = run(api, questions=uploaded(api, QUESTIONS, sha256=digest))
    assert good["state"] == "done"
    bad = run(api, questions=uploaded(api, [tweet_question("2"), tweet_question("1")], sha256=digest))
    assert (bad["state"], bad["attempts"]) == ("failed", 1)
    assert "the SHA-256 of what was uploaded is not the one that was declared" in bad["error"]["message"]


def test_files_that_are_gone_fail_the_job_with_the_reason(api):
    job = api.post(IMPORTS, {**ASK, "questions": uploaded(api, QUESTIONS)}).json()
    get_store().delete_prefix("uploads/")
    run_waiting(["import_dataset"])
    assert "gone from the object store" in api.get(f"/api/v1/jobs/{job['id']}").json()["error"]["message"]


# --- the worker's disk


def test_without_room_on_the_disk_nothing_is_fetched_and_it_is_tried_again(api, settings):
    settings.JOBS_BACKOFF_SECONDS = 0
    settings.IMPORT_DISK_RESERVE_BYTES = 2**60
    job = run(api, questions=uploaded(api, QUESTIONS))
    assert (job["state"], job["attempts"]) == ("failed", 3)
    assert "has no room for them" in job["error"]["message"]
    settings.IMPORT_DISK_RESERVE_BYTES = 0
    assert run(api, questions=Upload.objects.get().pk)["state"] == "done"


def test_room_that_another_import_has_taken_meanwhile_is_seen(api, settings, monkeypatch):
    settings.JOBS_BACKOFF_SECONDS = 0
    settings.IMPORT_DISK_RESERVE_BYTES = 1000
    usage = namedtuple("usage", "free")
    free = iter([10_000, 999] * 3)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(next(free)))
    job = run(api, questions=uploaded(api, QUESTIONS))
    assert "has no room for them" in job["error"]["message"]


# --- files that are kept, and people who are erased


def test_files_that_are_kept_go_when_one_of_the_people_in_them_is_erased(api, workspace):
    job = run(api, questions=uploaded(api, QUESTIONS), outputs=uploaded(api, GOLDS), keep_source=True)
    [prefix] = kept_sources(workspace=workspace, split_ids=[job["result"]["split_id"]])
    assert stored(prefix) == [f"{prefix}outputs.json", f"{prefix}questions.json"]
    assert stored("uploads/") == []
    erase_end_user(workspace=workspace, end_user=EndUser.objects.earliest("pk"))
    assert stored("sources/") == []


def test_while_files_are_kept_nobody_waits_for_the_quotas_turn(api, workspace, monkeypatch):
    """It is taken when everything is stored: a store that is slow would hold up whoever comes near the limits."""
    turns, put_file = [], type(get_store()).put_file
    others = connections["default"].copy()

    def slow(*args, **told):
        with others.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"quota:{workspace.pk}"])
            turns.append(cursor.fetchone()[0])
        return put_file(*args, **told)

    set_quotas(workspace=workspace, limits={Quota.DOCUMENTS: 1_000})
    questions = uploaded(api, QUESTIONS)
    monkeypatch.setattr(type(get_store()), "put_file", slow)
    job = run(api, questions=questions, keep_source=True)
    others.close()
    assert (job["state"], turns) == ("done", [True])


def test_an_import_beyond_a_quota_says_which_and_gives_its_uploads_back(api, workspace):
    set_quotas(workspace=workspace, limits={Quota.DOCUMENTS: 1})
    questions = uploaded(api, QUESTIONS)
    job = run(api, questions=questions)
    assert job["state"] == "failed"
    assert "may have 1 documents" in job["error"]["message"]
    assert not DatasetSplit.objects.exists()
    set_quotas(workspace=workspace, limits={Quota.DOCUMENTS: None})
    assert run(api, questions=questions)["state"] == "done"


def test_webhooks_are_told_of_its_end_whichever_it_is(api, workspace, receiver):
    webhook(workspace, receiver.url, event_types=["job.finished"])
    wrong, right = (
        run(api, questions=uploaded(api, questions)) for questions in ([tweet_question("1")] * 2, QUESTIONS)
    )
    run_waiting(["deliver_webhook"])
    told = [call.json["data"] for call in receiver.received]
    assert sorted((data["id"], data["kind"], data["state"]) for data in told) == [
        (wrong["id"], "import_dataset", "failed"),
        (right["id"], "import_dataset", "done"),
    ]


def test_files_of_an_import_that_fails_are_not_kept(api):
    run(api, questions=uploaded(api, [tweet_question("1"), tweet_question("1")]), keep_source=True)
    assert stored("sources/") == []


def test_kept_files_that_no_split_stands_for_are_swept_after_a_day(api, monkeypatch, workspace):
    run(api, questions=uploaded(api, QUESTIONS), keep_source=True)
    [kept] = stored("sources/")
    stray = f"sources/{workspace.pk}/{'0' * 64}/questions.json"
    get_store().put_bytes(stray, b"[]")
    sweep_uploads()
    assert stored("sources/") == sorted([kept, stray])
    monkeypatch.setattr(import_sweeps, "_KEPT_FOR", timedelta(0))
    sweep_uploads()
    assert stored("sources/") == [kept]


def test_what_an_import_left_whose_process_died_at_its_end_is_swept(api, monkeypatch):
    questions = uploaded(api, QUESTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(origins, "tell", lambda names: None)
        patch.setattr("jobs.batches.origins.tell", lambda names: None)
        job = run(api, questions=questions)
    assert (job["state"], api.get(f"{UPLOADS}/{questions}").json()["state"]) == ("done", "importing")
    sweep_uploads()
    assert api.get(f"{UPLOADS}/{questions}").status_code == 404
    assert stored("uploads/") == []


def test_what_a_job_is_asked_with_holds_no_text_of_the_files(api):
    api.post(IMPORTS, {**ASK, "questions": uploaded(api, [headline_question("1")])})
    assert "a man bit a dog" not in json.dumps(Job.objects.get().payload)
