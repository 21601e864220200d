"""Claiming: best first, whole batches, never the same job twice, and by PostgreSQL's clock."""

import time

import pytest
from django.db import connection

from jobs import claims, nodes, runner
from jobs.batches import ClaimedJob
from jobs.errors import ClaimLost
from jobs.models import Job
from jobs.services import JobSpec, enqueue_many, sweep
from tests.jobs.conftest import COMMITTED, expire_leases, fresh, in_background, in_threads, put, run_once
from tests.jobs.handlers import effect, record

pytestmark = COMMITTED


def finish_all(jobs):
    for job in jobs:
        with job.finishing():
            pass


def test_a_claim_is_written_down(kind_of):
    kind = kind_of(finish_all, lease_seconds=30)
    job = put(kind, payload={"n": 1})
    [taken] = claims.claim(kind)
    stored = fresh(job)
    assert (stored.state, stored.attempts, stored.claim) == ("running", 1, taken.claim)
    assert 25 < (stored.lease_until - stored.started_at).total_seconds() < 31


def test_higher_priority_goes_first_then_the_older(kind_of):
    kind = kind_of(finish_all)
    low, first, second, high = (put(kind, priority=p) for p in (-1, 0, 0, 5))
    order = [claims.claim(kind)[0].id for _ in range(4)]
    assert order == [high.pk, first.pk, second.pk, low.pk]


def test_a_delayed_job_is_not_claimed_yet(kind_of):
    kind = kind_of(finish_all)
    put(kind, delay_seconds=60)
    assert claims.claim(kind) == []


def test_a_batch_is_no_larger_than_the_kind_allows(kind_of):
    kind = kind_of(finish_all, batch_size=4)
    jobs = [put(kind) for _ in range(6)]
    assert [taken.id for taken in claims.claim(kind)] == [job.pk for job in jobs[:4]]


def test_a_batch_shares_the_value_of_its_key(kind_of):
    kind = kind_of(finish_all, batch_size=4, batch_by="base")
    for base in ("a", "b", "a", "b", "a"):
        put(kind, payload={"base": base})
    batches = [[taken.payload["base"] for taken in claims.claim(kind)] for _ in range(2)]
    assert batches == [["a", "a", "a"], ["b", "b"]]


def test_jobs_without_the_key_make_a_batch_of_their_own(kind_of):
    kind = kind_of(finish_all, batch_size=4, batch_by="base")
    for payload in ({}, {"base": "a"}, {}):
        put(kind, payload=payload)
    assert [taken.payload for taken in claims.claim(kind)] == [{}, {}]


def test_concurrent_claims_never_overlap(kind_of):
    kind = kind_of(finish_all, batch_size=3)
    made = enqueue_many(JobSpec(kind=kind.name) for _ in range(200))

    def take(_):
        mine = []
        while batch := claims.claim(kind):
            mine += [taken.id for taken in batch]
        return mine

    taken = [job_id for mine in in_threads(6, take) for job_id in mine]
    assert sorted(taken) == made


def median_seconds_of_claims(kind):
    times = []
    for _ in range(20):
        began = time.perf_counter()
        batch = claims.claim(kind)
        times.append(time.perf_counter() - began)
        assert len(batch) == kind.batch_size
    return sorted(times)[10]


def test_a_hundred_thousand_jobs_are_stored_in_seconds_and_claims_stay_fast(kind_of, broker):
    """Even though the table was last analysed when all of its jobs were done, as it mostly is."""
    plain, keyed = kind_of(finish_all, batch_size=8), kind_of(finish_all, batch_size=8, batch_by="base")
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO jobs_job (kind, payload, origin, priority, batch_key, alone, state, attempts, max_attempts,
                                     cancel_requested, progress_message, error_type, error_message, error_trace,
                                     finished_at)
               SELECT 'test.old', '{}', '', 0, '', false, 'done', 1, 3, false, '', '', '', '', now()
                 FROM generate_series(1, 5000)"""
        )
        cursor.execute("ANALYZE jobs_job")
    began = time.monotonic()
    made = enqueue_many(
        JobSpec(kind=kind.name, payload={"base": n % 1000}) for n in range(50_000) for kind in (plain, keyed)
    )
    assert time.monotonic() - began < 30
    assert (len(made), made == sorted(made), broker.llen("cpu")) == (100_000, True, 2)
    # A scan and sort of all that waits takes 0.1 to 0.4 s.
    assert median_seconds_of_claims(plain) < 0.05
    assert median_seconds_of_claims(keyed) < 0.05


# So long that nobody has waited for it who is back within half of it, however slow the machine.
WINDOW = 20.0


def came_together(kind, number):
    """The last batch had so many."""
    for _ in range(number):
        put(kind)
    assert len(run_once(kind)) == number


def test_who_comes_alone_is_not_kept_waiting(kind_of):
    kind = kind_of(finish_all, batch_size=4, gather_seconds=WINDOW)
    began = time.monotonic()
    for _ in range(2):
        put(kind)
        assert len(run_once(kind)) == 1
    assert time.monotonic() - began < WINDOW / 2


def test_as_many_as_came_together_are_waited_for_a_short_while(kind_of):
    kind = kind_of(finish_all, batch_size=8, gather_seconds=WINDOW)
    came_together(kind, 4)
    put(kind)

    def more():
        time.sleep(0.3)
        for _ in range(3):
            put(kind)

    began = time.monotonic()
    with in_background(more):
        jobs = run_once(kind)
    assert len(jobs) == 4
    assert time.monotonic() - began < WINDOW / 2


def test_a_full_batch_is_not_waited_for(kind_of):
    kind = kind_of(finish_all, batch_size=2, gather_seconds=WINDOW)
    put(kind), put(kind)
    began = time.monotonic()
    assert len(run_once(kind)) == 2
    assert time.monotonic() - began < WINDOW / 2


def test_one_that_has_waited_for_long_is_kept_for_no_more_than_the_window(kind_of):
    kind = kind_of(finish_all, batch_size=2, gather_seconds=2.0)
    came_together(kind, 2)
    put(kind)
    time.sleep(2.1)
    began = time.monotonic()
    assert len(run_once(kind)) == 1
    assert 1.2 < time.monotonic() - began < 8


def test_a_worker_that_is_stopping_claims_nothing(kind_of):
    kind = kind_of(finish_all, batch_size=2)
    put(kind)
    node = nodes.Node(queues=("cpu",), concurrency=1)
    nodes.beat(node, stopping=True)
    assert claims.claim(kind, worker_id=node.id) == []


def test_finishing_records_the_effect_and_the_mark(kind_of, effects):
    job = put(kind_of(record), payload={})
    assert runner.run_waiting(["test.own0"]) == 1
    stored = fresh(job)
    assert (stored.state, effects(), stored.claim, stored.finished_at is not None) == ("done", [job.pk], None, True)


def test_a_lost_claim_records_nothing(kind_of, effects):
    def lose_it(jobs):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE jobs_job SET claim = gen_random_uuid() WHERE id = %s", [jobs[0].id])
        with jobs[0].finishing():
            effect(jobs[0])

    kind = kind_of(lose_it)
    job = put(kind)
    [claimed] = run_once(kind)
    assert (effects(), claimed.ended_as, fresh(job).state) == ([], "lost", "running")


def test_an_expired_claim_is_taken_over_and_one_effect_recorded(kind_of, effects):
    kind = kind_of(record)
    job = put(kind)
    slow = ClaimedJob(claims.claim(kind)[0], kind)  # a process that has stopped beating
    expire_leases()
    assert sweep().taken_back == 1
    run_once(kind)
    with pytest.raises(ClaimLost), slow.finishing():
        effect(slow)
    assert (effects(), fresh(job).state, fresh(job).attempts) == ([job.pk], "done", 2)


def test_a_job_is_deleted_under_its_handler_without_harm(kind_of, effects):
    def vanish(jobs):
        Job.objects.all().delete()
        with jobs[0].finishing():
            effect(jobs[0])

    kind = kind_of(vanish)
    put(kind)
    [claimed] = run_once(kind)
    assert (effects(), claimed.ended_as) == ([], "lost")
