"""A handler that asks for more: which jobs may join a running batch, and whose turn comes first."""

import time

import pytest
from django.db import connection

from jobs import nodes, origins, runner
from jobs.heart import heart
from jobs.models import Job
from jobs.services import JobSpec, enqueue_many
from tests.jobs.conftest import COMMITTED, fresh, in_threads, put, run_once, until

pytestmark = COMMITTED


def finish_all(jobs):
    for job in jobs:
        with job.finishing():
            pass


@pytest.fixture
def asking(kind_of):
    """A kind of batches by “base” whose handler does `work(batch)` and finishes what it holds then; what joined."""
    joined = []

    def make(work, **options):
        def handler(batch):
            joined.extend(work(batch) or [])
            finish_all(job for job in batch if job.ended_as is None)

        return kind_of(handler, **{"batch_size": 2, "batch_by": "base", **options})

    make.joined = joined
    return make


def test_a_job_that_was_enqueued_later_joins_and_is_done_with_the_rest(asking):
    def later(batch):
        job = put(batch.kind, payload={"base": "a"})
        [joined] = batch.more(4)
        assert (joined.id, len(batch)) == (job.pk, 2)
        return [joined]

    put(asking(later), payload={"base": "a"})
    assert runner.run_waiting(["test.own0"]) == 1
    assert set(Job.objects.values_list("state", "attempts")) == {("done", 1)}


def test_no_more_join_than_are_asked_for_the_first_in_order_first(asking):
    kind = asking(lambda batch: batch.more(2))
    jobs = [put(kind, payload={"base": "a"}) for _ in range(6)]
    urgent = put(kind, payload={"base": "a"}, priority=1)
    first = run_once(kind)
    assert [job.id for job in first] == [urgent.pk, jobs[0].pk]
    assert [job.id for job in asking.joined] == [jobs[1].pk, jobs[2].pk]


@pytest.mark.parametrize("batch_by", ["base", None])
def test_jobs_join_by_the_batch_key_if_the_kind_has_one(asking, batch_by):
    kind = asking(lambda batch: batch.more(9), batch_by=batch_by)
    for base in ("a", "a", "a", "b"):
        put(kind, payload={"base": base})
    run_once(kind)
    assert [job.payload["base"] for job in asking.joined] == (["a"] if batch_by else ["a", "b"])


def test_none_joins_while_another_kind_of_the_queue_waits(asking, kind_of):
    kind, other = asking(lambda batch: batch.more(9)), kind_of(finish_all)
    elsewhere = kind_of(finish_all, queue="model")
    for _ in range(3):
        put(kind, payload={"base": "a"})
    put(elsewhere)
    put(other)
    run_once(kind)
    assert asking.joined == []
    run_once(other)
    put(kind, payload={"base": "a"}), put(kind, payload={"base": "a"})
    run_once(kind)
    assert len(asking.joined) == 1


def test_none_joins_while_one_that_may_not_stands_first(asking):
    kind = asking(lambda batch: batch.more(9))
    for base in ("a", "a", "b", "a"):
        put(kind, payload={"base": base})
    run_once(kind)
    assert asking.joined == []
    assert [job.payload["base"] for job in run_once(kind)] == ["b"]


def test_none_joins_a_job_that_runs_alone_and_that_one_joins_none(asking):
    kind = asking(lambda batch: batch.more(9))
    jobs = [put(kind, payload={"base": "a"}) for _ in range(4)]
    Job.objects.filter(pk=jobs[0].pk).update(alone=True)
    assert [job.id for job in run_once(kind)] == [jobs[0].pk]
    Job.objects.filter(pk=jobs[3].pk).update(alone=True)
    run_once(kind)
    assert asking.joined == []
    assert [job.id for job in run_once(kind)] == [jobs[3].pk]


def test_none_joins_once_the_worker_is_stopping(asking, monkeypatch):
    node = nodes.Node(queues=("cpu",), concurrency=1)
    nodes.beat(node)
    monkeypatch.setattr(heart, "worker_id", node.id)

    def stop(batch):
        nodes.beat(node, stopping=True)
        return batch.more(9)

    kind = asking(stop)
    jobs = [put(kind, payload={"base": "a"}) for _ in range(3)]
    run_once(kind)
    assert (asking.joined, fresh(jobs[2]).state) == ([], "waiting")


def test_no_job_joins_two_batches(asking):
    kind = asking(lambda batch: None)
    made = enqueue_many(JobSpec(kind=kind.name, payload={"base": "a"}) for _ in range(80))

    def take(_):
        batch = runner.claim_batch(kind)
        mine = [job.id for job in batch]
        while joined := batch.more(3):
            mine += [job.id for job in joined]
        runner.run_batch(batch)
        return mine

    assert sorted(job_id for mine in in_threads(4, take) for job_id in mine) == made


def test_what_joined_keeps_its_lease_and_tells_its_progress(asking):
    def work(batch):
        [joined] = batch.more(1)
        joined.progress(done=3, total=7)
        until(lambda: fresh(joined).progress_done == 3)
        return [joined]

    kind = asking(work, batch_size=1, lease_seconds=1)
    put(kind, payload={"base": "a"}), put(kind, payload={"base": "a"})
    run_once(kind)
    assert len(asking.joined) == 1


def test_what_joined_and_was_left_open_costs_it_the_attempt(kind_of):
    def forget(batch):
        finish_all(tuple(batch))
        batch.more(1)

    kind = kind_of(forget, batch_size=2, max_attempts=1)
    jobs = [put(kind) for _ in range(3)]
    run_once(kind)
    assert [fresh(job).state for job in jobs] == ["done", "done", "failed"]


def test_who_asked_hears_of_the_end_while_the_batch_goes_on_and_once(asking, monkeypatch):
    told = []
    monkeypatch.setitem(origins._listeners, "asker", told.append)

    def work(batch):
        with batch[0].finishing():
            pass
        batch.more(1)
        assert told == ["asker:1"]
        assert [job.origin for job in batch] == ["asker:2"]

    kind = asking(work)
    put(kind, payload={"base": "a"}, origin="asker:1"), put(kind, payload={"base": "a"}, origin="asker:2")
    run_once(kind)
    assert told == ["asker:1", "asker:2"]


def test_asking_for_more_is_quick_however_many_wait(asking):
    """It follows the indexes: a scan and sort of all that waits would take a hundred times as long."""
    kind = asking(lambda batch: None)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_job")
    enqueue_many(JobSpec(kind=kind.name, payload={"base": n % 2}) for n in range(20_000))
    batch = runner.claim_batch(kind)
    times = []
    for _ in range(10):
        began = time.perf_counter()
        batch.more(2)
        times.append(time.perf_counter() - began)
    assert sorted(times)[5] < 0.03
    runner.run_batch(batch)
