"""Enqueueing: one row a job, one bell after the commit, and no broker needed."""

import time

import pytest
from django.db import transaction

from jobs import kinds
from jobs.models import Job
from jobs.services import JobSpec, enqueue, enqueue_many
from jobs.stored_json import NotStorable
from tests.jobs.conftest import COMMITTED, in_threads, put

pytestmark = COMMITTED


@pytest.fixture
def nothing(kind_of):
    return kind_of(lambda jobs: None, max_attempts=5)


@pytest.fixture
def bells(broker):
    """How many bells lie in the queue."""
    return lambda queue="cpu": broker.llen(queue)


def test_a_job_waits_as_it_was_given(nothing):
    job = put(nothing, payload={"n": 1}, workspace_id=3, end_user_id=4, origin="run:5", priority=6, dedupe_key="k")
    stored = Job.objects.values(
        "state",
        "payload",
        "workspace_id",
        "end_user_id",
        "origin",
        "priority",
        "dedupe_key",
        "attempts",
        "max_attempts",
    ).get(pk=job.pk)
    assert stored == {
        "state": "waiting", "payload": {"n": 1}, "workspace_id": 3, "end_user_id": 4, "origin": "run:5",
        "priority": 6, "dedupe_key": "k", "attempts": 0, "max_attempts": 5,
    }  # fmt: skip


def test_the_bell_rings_after_the_commit(nothing, bells):
    with transaction.atomic():
        put(nothing)
        assert bells() == 0
    assert bells() == 1


def test_a_rolled_back_job_rings_nothing(nothing, bells):
    with transaction.atomic():
        put(nothing)
        transaction.set_rollback(True)
    assert (bells(), Job.objects.count()) == (0, 0)


def test_many_jobs_of_one_transaction_ring_once(nothing, bells):
    with transaction.atomic():
        for _ in range(5):
            put(nothing)
    assert bells() == 1


def test_a_bell_survives_the_rollback_of_a_savepoint_that_rang_too(nothing, bells):
    with transaction.atomic():
        with transaction.atomic():
            put(nothing)
            transaction.set_rollback(True)
        put(nothing)
    assert bells() == 1


def test_a_bulk_rings_once_a_kind(kind_of, bells):
    one, other = kind_of(None), kind_of(None, queue="model")
    enqueue_many(JobSpec(kind=kind.name) for kind in (one, other) for _ in range(10))
    assert (bells("cpu"), bells("model")) == (1, 1)


def test_a_broker_that_is_away_fails_no_enqueue(nothing, monkeypatch, caplog):
    from celery import current_app

    monkeypatch.setattr(current_app.conf, "broker_write_url", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(current_app, "_pool", None)
    monkeypatch.setattr(current_app.amqp, "_producer_pool", None)
    began = time.monotonic()
    job = put(nothing)
    assert Job.objects.filter(pk=job.pk).exists()
    assert "the sweep will ring" in caplog.text
    assert time.monotonic() - began < 10


def test_a_taken_dedupe_key_gives_the_unfinished_job(nothing):
    first = put(nothing, dedupe_key="embed:7")
    assert put(nothing, dedupe_key="embed:7") == first


def test_a_bulk_leaves_out_taken_dedupe_keys(nothing):
    put(nothing, dedupe_key="a")
    made = enqueue_many(JobSpec(kind=nothing.name, dedupe_key=key) for key in ("a", "b", "b", None, None))
    assert (len(made), Job.objects.count()) == (3, 4)


def test_a_race_for_a_dedupe_key_makes_one_job(nothing):
    jobs = in_threads(8, lambda _: put(nothing, dedupe_key="embed:7").pk)
    assert len(set(jobs)) == Job.objects.count() == 1


def test_an_unknown_kind_is_refused():
    with pytest.raises(kinds.UnknownKind):
        enqueue(JobSpec(kind="nobody.knows"))


@pytest.mark.parametrize(
    "value",
    ["secret\0", "secret\ud800", float("nan"), b"secret", {1, 2}, "back\\slash\0"],
    ids=["NUL", "half a surrogate pair", "NaN", "bytes", "a set", "NUL after a backslash"],
)
def test_what_jsonb_cannot_hold_is_refused_without_quoting_it(nothing, value):
    with pytest.raises(NotStorable) as refused:
        put(nothing, payload={"text": value})
    assert "secret" not in str(refused.value)


def test_an_empty_dedupe_key_is_refused(nothing):
    with pytest.raises(ValueError, match="not empty"):
        put(nothing, dedupe_key="")


def test_text_that_looks_like_an_escaped_nul_is_kept(nothing):
    job = put(nothing, payload={"text": "a \\u0000 in words, 😀"})
    assert Job.objects.get(pk=job.pk).payload == {"text": "a \\u0000 in words, 😀"}
