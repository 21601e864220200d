"""Every attempt is counted where it ends, by how it ended."""

import pytest

from jobs import measures
from jobs.errors import Permanent
from jobs.measures import ATTEMPT_SECONDS, LEASES_EXPIRED
from jobs.models import Worker
from jobs.services import cancel, sweep
from tests.jobs.conftest import COMMITTED, expire_leases, put, run_once

pytestmark = COMMITTED


def counted(kind):
    """How many attempts of `kind` ended, by outcome."""
    return {
        sample.labels["outcome"]: sample.value
        for metric in ATTEMPT_SECONDS.collect()
        for sample in metric.samples
        if sample.name.endswith("_count") and sample.labels["kind"] == kind.name
    }


def finish(jobs):
    for job in jobs:
        with job.finishing():
            pass


def fail_for_good(jobs):
    raise Permanent("no such thing")


def fail(jobs):
    raise ValueError


def give_back(jobs):
    for job in jobs:
        job.give_back(delay_seconds=3600)


def cancel_itself(jobs):
    for job in jobs:
        job.cancel_requested = True


@pytest.mark.parametrize(
    ("handler", "outcome"),
    [
        (finish, "done"),
        (fail_for_good, "failed"),
        (fail, "retried"),
        (give_back, "given-back"),
        (cancel_itself, "cancelled"),
    ],
)
def test_an_attempt_counts_by_its_outcome(kind_of, handler, outcome):
    kind = kind_of(handler, name=f"test.measured-{outcome}", max_attempts=2)
    put(kind)
    run_once(kind)
    assert counted(kind) == {outcome: 1}


def test_each_job_of_a_batch_counts(kind_of):
    kind = kind_of(finish, name="test.measured-together", batch_size=3)
    for _ in range(3):
        put(kind)
    run_once(kind)
    assert counted(kind) == {"done": 3}


def test_an_attempt_that_was_taken_over_is_lost(kind_of):
    def lose(jobs):
        expire_leases()
        sweep()
        finish(jobs)

    before = LEASES_EXPIRED._value.get()
    kind = kind_of(lose, name="test.measured-lost")
    put(kind)
    run_once(kind)
    assert counted(kind) == {"lost": 1}
    assert LEASES_EXPIRED._value.get() - before == 1


def test_what_waits_and_runs_is_read_by_queue_and_kind(kind_of):
    seen = []

    def look(jobs):
        seen.extend(standing(kind))
        finish(jobs)

    def standing(kind):
        return [
            (metric.name, sample.value)
            for metric in measures.queues()
            for sample in metric.samples
            if sample.labels == {"queue": "cpu", "kind": kind.name} and "oldest" not in metric.name
        ]

    kind = kind_of(look)
    put(kind)
    put(kind)
    cancel(put(kind).pk)
    assert standing(kind) == [("lamppost_jobs_waiting", 2), ("lamppost_jobs_running", 0)]
    run_once(kind)
    assert seen == [("lamppost_jobs_waiting", 1), ("lamppost_jobs_running", 1)]


def test_live_workers_are_counted_by_queue():
    Worker.objects.create(hostname="gpu-7", pid=1, queues=["model", "training"])
    Worker.objects.create(hostname="gpu-8", pid=1, queues=["model"])
    workers = [metric for metric in measures.queues() if metric.name == "lamppost_workers"]
    assert {sample.labels["queue"]: sample.value for sample in workers[0].samples} == {
        "cpu": 0,
        "model": 2,
        "training": 1,
    }
