"""The import as a job: files in the object store, progress while it runs, sources gone when it has ended."""

import time
from contextlib import contextmanager
from datetime import timedelta
from threading import Thread

import pytest
from django.db import connection, connections

from common.objects import get_store
from eval_app import import_requests
from eval_app.import_requests import import_ended, request_import, sweep_sources
from eval_app.kinds import IMPORT_DATASET
from eval_app.models import DatasetSplit, Question
from jobs.models import Job, State
from jobs.runner import claim_batch, run_batch, run_waiting
from jobs.services import cancel
from tests.lamp.lamp_files import outputs, truth, tweet_question, write
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


def test_the_truth_travels_with_the_other_files(requested, tmp_path):
    oracle = write(tmp_path / "truth.json", truth("LaMP_7", dev={"1": "the oracle"}))
    job = requested([tweet_question("1")], outputs("LaMP_7", {"1": "x"}), truth=oracle)
    assert sources("imports/") == ["outputs.json", "questions.json", "truth.json"]
    run_waiting(["import_dataset"])
    job.refresh_from_db()
    assert (job.state, job.result["new_oracle"]) == (State.DONE, True)
    assert Question.objects.get().oracle_answer == "the oracle"
    assert sources("imports/") == []


def test_sources_stay_where_they_are_to_be_kept(requested):
    requested([tweet_question("1")], keep_source=True)
    run_waiting(["import_dataset"])
    assert sources("sources/") == ["questions.json"]
    get_store().delete_prefix("sources/")


def test_kept_sources_stay_where_another_import_of_the_same_fails(requested):
    requested([tweet_question("1")], keep_source=True)
    run_waiting(["import_dataset"])
    again = requested([tweet_question("1")], keep_source=True)
    cancel(again.pk)
    import_ended(again.origin)
    assert sources("sources/") == ["questions.json"]
    get_store().delete_prefix("sources/")


def test_kept_sources_stay_where_another_import_is_still_to_read_them(requested):
    first = requested([tweet_question("1")], keep_source=True)
    requested([tweet_question("1")], keep_source=True)
    cancel(first.pk)
    import_ended(first.origin)
    assert sources("sources/") == ["questions.json"]
    get_store().delete_prefix("sources/")


def test_sources_that_no_split_stands_for_are_not_kept(requested):
    """Nobody would find them again when one of the people in them is erased."""
    requested([tweet_question("1"), tweet_question("1")], keep_source=True)
    run_waiting(["import_dataset"])
    assert sources("sources/") == []


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


@pytest.fixture
def held_up():
    """Runs the waiting import in a thread and holds it up before it stores, with its transaction open."""

    @contextmanager
    def hold():
        [job] = batch = claim_batch(IMPORT_DATASET)

        def run():
            try:
                run_batch(batch)
            finally:
                connections.close_all()

        thread = Thread(target=run)
        other = connection.copy()
        other.set_autocommit(False)
        try:
            with other.cursor() as cursor:
                cursor.execute("LOCK TABLE users_app_enduser IN SHARE MODE")
            thread.start()
            yield job
        finally:
            other.rollback()
            other.close()
        thread.join()

    return hold


def until(condition, *, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_progress_is_seen_while_the_transaction_is_open(requested, held_up, tmp_path):
    job = requested([tweet_question(str(n)) for n in range(300)])

    def storing():
        job.refresh_from_db()
        return job.progress_message == "storing 300 questions"

    with held_up():
        until(storing)
        size = (tmp_path / "dev_questions.json").stat().st_size
        assert (job.state, job.progress_done, job.progress_total) == (State.RUNNING, size, size)
        assert not DatasetSplit.objects.exists()
    job.refresh_from_db()
    assert job.state == State.DONE
    assert Question.objects.count() == 300


def test_a_cancelled_import_leaves_nothing_behind(requested, held_up):
    job = requested([tweet_question(str(n)) for n in range(300)])
    with held_up() as claimed:
        cancel(job.pk)
        until(lambda: claimed.cancel_requested)
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    assert not DatasetSplit.objects.exists()
    assert sources("imports/") == []


def test_what_an_upload_left_that_never_became_a_job_is_swept_after_a_day(monkeypatch):
    get_store().put_bytes("imports/lost/questions.json", b"[]")
    sweep_sources()
    assert sources("imports/") == ["questions.json"]
    monkeypatch.setattr(import_requests, "_UPLOAD_AT_MOST", timedelta(0))
    sweep_sources()
    assert sources("imports/") == []
