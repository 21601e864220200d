"""The doorbell: bells neither die out while work waits nor multiply."""

import pytest

from jobs import runner
from jobs.heart import heart
from jobs.models import Job
from jobs.services import JobSpec, enqueue_many
from tests.jobs.conftest import COMMITTED, broker, kind_of, nothing_held, quick  # noqa: F401 (fixtures)
from workers import tasks

pytestmark = COMMITTED


def finish_all(jobs):
    for job in jobs:
        with job.finishing():
            pass


@pytest.fixture
def bells(broker):  # noqa: F811
    return lambda: broker.llen("cpu")


@pytest.fixture
def one_batch_a_bell(settings):
    settings.JOBS_SLICE_SECONDS = 0


def enqueue(kind, count):
    enqueue_many(JobSpec(kind=kind.name) for _ in range(count))


def test_a_bell_wakes_one_more_while_more_waits(kind_of, bells, broker, one_batch_a_bell):  # noqa: F811
    kind = kind_of(finish_all, batch_size=2)
    enqueue(kind, 5)
    broker.flushdb()
    tasks.ring(kind.name)
    assert (Job.objects.filter(state="done").count(), bells()) == (2, 1)


def test_the_last_batch_rings_for_nobody(kind_of, bells, broker, one_batch_a_bell):  # noqa: F811
    kind = kind_of(finish_all, batch_size=2)
    enqueue(kind, 2)
    broker.flushdb()
    tasks.ring(kind.name)
    assert (Job.objects.filter(state="done").count(), bells()) == (2, 0)


def test_a_bell_that_finds_nothing_rings_for_nobody(kind_of, bells):  # noqa: F811
    kind = kind_of(finish_all)
    tasks.ring(kind.name)
    assert bells() == 0


def test_a_long_queue_keeps_one_bell_at_a_time(kind_of, bells, broker, one_batch_a_bell):  # noqa: F811
    kind = kind_of(finish_all)
    enqueue(kind, 30)
    seen = []
    while broker.lpop("cpu"):
        tasks.ring(kind.name)
        seen.append(bells())
    assert (max(seen), Job.objects.filter(state="done").count()) == (1, 30)


def test_quick_jobs_are_run_on_within_the_slice(kind_of, broker):  # noqa: F811
    kind = kind_of(finish_all)
    enqueue(kind, 5)
    tasks.ring(kind.name)
    assert Job.objects.filter(state="done").count() == 5


def test_what_came_in_during_a_long_run_is_rung_for_at_its_end(kind_of, bells, broker, one_batch_a_bell):  # noqa: F811
    def more_comes(jobs):
        enqueue(kind, 1)
        broker.flushdb()
        finish_all(jobs)

    kind = kind_of(more_comes)
    enqueue(kind, 1)
    tasks.ring(kind.name)
    assert bells() == 1


def test_a_stopping_worker_answers_no_bell(kind_of, monkeypatch):  # noqa: F811
    monkeypatch.setattr(type(heart), "stopping", True)
    kind = kind_of(finish_all)
    enqueue(kind, 1)
    tasks.ring(kind.name)
    assert Job.objects.get().state == "waiting"


def test_a_bell_of_a_kind_nobody_knows_is_no_error():
    assert runner.answer_bell("test.forgotten", ring=lambda name: None) == 0


def test_a_bell_answered_without_a_database_is_logged_without_words(kind_of, monkeypatch, caplog):  # noqa: F811
    def refuse(kind, *, worker_id):
        raise RuntimeError("what alice wrote")

    monkeypatch.setattr(runner.claims, "claim", refuse)
    tasks.ring(kind_of(finish_all).name)
    assert "was not answered" in caplog.text
    assert "alice" not in caplog.text


def test_the_sweep_can_be_asked_for_as_a_task(kind_of, bells, broker):  # noqa: F811
    enqueue(kind_of(finish_all), 1)
    broker.flushdb()
    tasks.sweep()
    assert bells() == 1
