"""The import as a job: files in the object store, progress while it runs, sources gone when it has ended."""

import time
from threading import Thread

import pytest
from django.db import connections

from common.objects import get_store
from eval_app.import_requests import request_import
from eval_app.models import DatasetSplit, Question
from jobs.models import Job, State
from jobs.runner import run_waiting
from jobs.services import cancel
from tests.lamp.lamp_files import outputs, tweet_question, write
from users_app.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def workspace():
    return Workspace.objects.create(slug="lab", name="Lab")


@pytest.fixture
def requested(workspace, tmp_path):
    """Asks for the import of questions."""

    def make(questions, golds=None, **more) -> Job:
        return request_import(
            workspace=workspace,
            dataset="lamp",
            split="dev",
            questions=write(tmp_path / "dev_questions.json", questions),
            outputs=None if golds is None else write(tmp_path / "dev_outputs.json", golds),
            **more,
        )

    return make


def sources(prefix: str) -> list[str]:
    return [info.key.rpartition("/")[2] for info in get_store().list(prefix)]


def test_the_job_imports_and_its_sources_are_deleted(requested):
    job = requested([tweet_question("1")], outputs("LaMP_7", {"1": "x"}))
    assert sources("imports/") == ["outputs.json", "questions.json"]
    run_waiting(["import_dataset"])
    job.refresh_from_db()
    assert (job.state, job.result["changed"], job.result["task"]) == (State.DONE, True, "LaMP-7")
    assert Question.objects.get().gold == "x"
    assert sources("imports/") == []


def test_sources_stay_where_they_are_to_be_kept(requested):
    requested([tweet_question("1")], keep_source=True)
    run_waiting(["import_dataset"])
    assert sources("sources/") == ["questions.json"]
    get_store().delete_prefix("sources/")


def test_files_that_are_not_in_order_fail_the_job_at_once_with_the_reason(requested):
    job = requested([tweet_question("1"), tweet_question("1")])
    run_waiting(["import_dataset"])
    job.refresh_from_db()
    assert (job.state, job.attempts) == (State.FAILED, 1)
    assert job.error_message.startswith('dev_questions.json, question 1, field "id": is the id of an earlier question')
    assert sources("imports/") == []
    assert not DatasetSplit.objects.exists()


def test_sources_that_are_gone_fail_the_job_with_the_reason(requested):
    job = requested([tweet_question("1")])
    get_store().delete_prefix("imports/")
    run_waiting(["import_dataset"])
    job.refresh_from_db()
    assert (job.state, job.error_message.partition(".")[0]) == (
        State.FAILED,
        "The files to import are gone from the object store",
    )


def test_progress_is_seen_while_the_transaction_is_open(requested):
    profile = [{"id": str(n), "text": f"word {n} " * 20} for n in range(100)]
    job = requested([tweet_question(str(n), profile=profile) for n in range(600)])
    seen = []

    def run():
        try:
            run_waiting(["import_dataset"])
        finally:
            connections.close_all()

    thread = Thread(target=run)
    thread.start()
    while thread.is_alive():
        job.refresh_from_db()
        if job.state == State.RUNNING and job.progress_done:
            seen.append((0 < job.progress_done <= job.progress_total, job.progress_message, Question.objects.count()))
        time.sleep(0.05)
    thread.join()
    job.refresh_from_db()
    assert job.state == State.DONE
    assert seen
    assert all(sensible and message and questions == 0 for sensible, message, questions in seen)


def test_a_cancelled_import_leaves_nothing_behind(requested):
    profile = [{"id": str(n), "text": f"word {n} " * 20} for n in range(100)]
    job = requested([tweet_question(str(n), profile=profile) for n in range(600)])

    def run():
        try:
            run_waiting(["import_dataset"])
        finally:
            connections.close_all()

    thread = Thread(target=run)
    thread.start()
    while not job.progress_done:
        job.refresh_from_db()
        time.sleep(0.02)
    cancel(job.pk)
    thread.join()
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    assert not DatasetSplit.objects.exists()
    assert sources("imports/") == []
