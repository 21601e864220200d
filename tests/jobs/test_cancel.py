"""Cancelling and running again, in every state."""

import pytest

from jobs import claims, origins, services
from jobs.models import Job
from jobs.runner import run_waiting
from jobs.services import JobSpec, enqueue_many
from tests.jobs.conftest import COMMITTED, expire_leases, fresh, in_background, put, run_once, until
from tests.jobs.handlers import effect, slow

pytestmark = COMMITTED


def finish_all(jobs):
    for job in jobs:
        with job.finishing():
            pass


def fail_all(jobs):
    for job in jobs:
        job.fail("no", retry=False)


def test_a_waiting_job_is_cancelled_at_once(kind_of):
    kind = kind_of(finish_all)
    job = put(kind)
    assert services.cancel(job.pk) == services.Cancelled(cancelled=1, requested=0)
    assert run_once(kind) == []
    assert fresh(job).state == "cancelled"


def test_a_running_job_is_cancelled_when_it_looks(kind_of, effects):
    kind = kind_of(slow)
    job = put(kind, payload={"seconds": 20})
    with in_background(lambda: run_once(kind)):
        until(lambda: fresh(job).state == "running")
        assert services.cancel(job.pk) == services.Cancelled(cancelled=0, requested=1)
        until(lambda: fresh(job).state == "cancelled")
    assert effects() == []


def test_a_running_job_that_never_looks_is_done(kind_of, effects):
    def cancelled_meanwhile(jobs):
        services.cancel(jobs[0].id)
        with jobs[0].finishing():
            effect(jobs[0])

    kind = kind_of(cancelled_meanwhile)
    job = put(kind)
    run_once(kind)
    assert (fresh(job).state, effects()) == ("done", [job.pk])


def test_one_cancelled_job_of_a_batch_costs_the_others_nothing(kind_of, effects):
    def work(jobs):
        if jobs[0].payload["first"]:
            services.cancel(jobs[0].id)
            until(lambda: jobs[0].cancel_requested)
        for job in jobs:
            job.check()
            with job.finishing():
                effect(job)

    kind = kind_of(work, batch_size=2)
    first, second = put(kind, payload={"first": True}), put(kind, payload={"first": False})
    run_waiting([kind.name])
    assert [(fresh(job).state, fresh(job).attempts) for job in (first, second)] == [("cancelled", 1), ("done", 1)]


def test_a_failed_attempt_of_a_cancelled_job_is_its_last(kind_of):
    def cancelled_meanwhile(jobs):
        services.cancel(jobs[0].id)
        raise ValueError

    kind = kind_of(cancelled_meanwhile)
    job = put(kind)
    run_once(kind)
    assert fresh(job).state == "cancelled"


def test_a_cancelled_job_whose_worker_died_is_cancelled_by_the_sweep(kind_of):
    kind = kind_of(finish_all)
    job = put(kind)
    claims.claim(kind)
    services.cancel(job.pk)
    expire_leases()
    services.sweep()
    assert fresh(job).state == "cancelled"


@pytest.mark.parametrize("handler", [finish_all, fail_all], ids=["done", "failed"])
def test_a_finished_job_stays_as_it_is(kind_of, handler):
    kind = kind_of(handler)
    job = put(kind)
    run_once(kind)
    before = fresh(job).state
    assert services.cancel(job.pk) == services.Cancelled(cancelled=0, requested=0)
    assert fresh(job).state == before


def test_an_origin_is_cancelled_and_no_other(kind_of):
    kind = kind_of(finish_all)
    enqueue_many(JobSpec(kind=kind.name, origin=origin) for origin in ("run:1", "run:1", "run:11", ""))
    assert services.cancel_origin("run:1").cancelled == 2
    assert sorted(Job.objects.filter(state="waiting").values_list("origin", flat=True)) == ["", "run:11"]


def test_no_origin_is_no_origin_to_cancel(kind_of):
    with pytest.raises(ValueError, match="not empty"):
        services.cancel_origin("")


@pytest.mark.parametrize("end", [lambda job, kind: run_once(kind), lambda job, kind: services.cancel(job.pk)])
def test_a_failed_or_cancelled_job_runs_again_with_all_attempts(kind_of, end, broker):
    kind = kind_of(fail_all)
    job = put(kind)
    end(job, kind)
    broker.flushdb()
    assert services.retry(job.pk) == 1
    stored = fresh(job)
    assert (stored.state, stored.attempts, stored.cancel_requested) == ("waiting", 0, False)
    assert broker.llen("cpu") == 1


def test_a_done_job_does_not_run_again(kind_of):
    kind = kind_of(finish_all)
    job = put(kind)
    run_once(kind)
    assert services.retry(job.pk) == 0


def test_a_job_whose_place_is_taken_does_not_run_again(kind_of):
    kind = kind_of(fail_all)
    first = put(kind, dedupe_key="embed:7")
    run_once(kind)
    put(kind, dedupe_key="embed:7")
    assert services.retry(first.pk) == 0


def test_of_two_failed_jobs_of_one_key_the_newer_runs_again(kind_of):
    kind = kind_of(fail_all)
    jobs = []
    for _ in range(2):
        jobs.append(put(kind, dedupe_key="embed:7", origin="run:1"))
        run_once(kind)
    assert services.retry_origin("run:1") == 1
    assert [fresh(job).state for job in jobs] == ["failed", "waiting"]


def test_the_origin_hears_of_a_cancelled_job(kind_of, monkeypatch):
    heard = []
    monkeypatch.setitem(origins._listeners, "run", heard.append)
    job = put(kind_of(finish_all), origin="run:1")
    services.cancel(job.pk)
    assert heard == ["run:1"]
