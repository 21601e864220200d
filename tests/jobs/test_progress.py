"""Progress and heartbeats go over a connection of their own."""

import threading
import time

from django.db import connection, transaction
from django.db.models import F

from jobs import claims, outcomes, services
from jobs.batches import Progress
from jobs.errors import ClaimLost
from jobs.models import Job
from jobs.outcomes import progress_by_origin
from tests.jobs.conftest import COMMITTED, fresh, in_background, put, run_once, until
from tests.jobs.handlers import effect

pytestmark = COMMITTED

# Ten times what lies between two beats: a machine that is busy lets a heart wait for some of them.
LEASE_SECONDS = 3.0


def test_progress_is_seen_while_the_transaction_is_open(kind_of, effects):
    seen = threading.Event()

    def work(jobs):
        with jobs[0].finishing():
            effect(jobs[0])
            jobs[0].progress(done=3, total=10, message="rows")
            assert seen.wait(10)

    kind = kind_of(work)
    job = put(kind)
    with in_background(lambda: run_once(kind)):
        until(lambda: fresh(job).progress_done == 3)
        assert (fresh(job).state, fresh(job).progress_total, fresh(job).progress_message) == ("running", 10, "rows")
        assert effects() == []
        seen.set()
    assert effects() == [job.pk]


def test_the_last_progress_is_kept_with_the_finished_job(kind_of):
    def work(jobs):
        for done in range(11):
            jobs[0].progress(done=done, total=10)
        with jobs[0].finishing():
            pass

    kind = kind_of(work)
    job = put(kind)
    run_once(kind)
    assert (fresh(job).progress_done, fresh(job).progress_total) == (10, 10)


def test_progress_keeps_what_it_is_not_told_anew(kind_of):
    seen = []

    def work(jobs):
        jobs[0].progress(done=1, total=9, message="reading")
        jobs[0].progress(done=2)
        seen.append(jobs[0].take_progress())

    kind = kind_of(work)
    put(kind)
    run_once(kind)
    assert seen == [Progress(done=2, total=9, message="reading")]


def test_writing_progress_often_costs_few_statements(kind_of):
    def work(jobs):
        began = time.monotonic()
        for done in range(100_000):
            jobs[0].progress(done=done)
        assert time.monotonic() - began < 3
        with jobs[0].finishing():
            pass

    kind = kind_of(work, max_attempts=1)
    job = put(kind)
    run_once(kind)
    assert fresh(job).state == "done"


def test_a_long_job_keeps_its_lease(kind_of, effects):
    def work(jobs):
        time.sleep(LEASE_SECONDS + 1.0)
        with jobs[0].finishing():
            effect(jobs[0])

    kind = kind_of(work, lease_seconds=LEASE_SECONDS)
    job = put(kind)
    with in_background(lambda: run_once(kind)):
        until(lambda: fresh(job).state == "running")
        ends = time.monotonic() + LEASE_SECONDS + 0.5
        while time.monotonic() < ends:
            assert services.sweep().taken_back == 0
            time.sleep(0.1)
    assert (fresh(job).attempts, effects()) == (1, [job.pk])


def test_a_lease_lasts_while_the_effect_refers_to_the_job(kind_of):
    """A foreign key locks the row in a way that a heartbeat does not mind."""

    def work(jobs):
        with jobs[0].finishing(), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM jobs_job WHERE id = %s FOR KEY SHARE", [jobs[0].id])
            time.sleep(LEASE_SECONDS + 1.0)

    kind = kind_of(work, lease_seconds=LEASE_SECONDS)
    job = put(kind)
    with in_background(lambda: run_once(kind)):
        until(lambda: fresh(job).state == "running")
        time.sleep(LEASE_SECONDS + 0.5)
        assert services.sweep().taken_back == 0
    assert fresh(job).state == "done"


def test_a_job_learns_that_it_was_taken_over(kind_of):
    noticed = []

    def work(jobs):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE jobs_job SET claim = gen_random_uuid() WHERE id = %s", [jobs[0].id])
        until(lambda: jobs[0].lost)
        try:
            jobs[0].check()
        except ClaimLost:
            noticed.append(True)
            raise

    kind = kind_of(work)
    put(kind)
    run_once(kind)
    assert noticed == [True]


def test_finishing_within_another_transaction_is_refused(kind_of):
    def work(jobs):
        with transaction.atomic(), jobs[0].finishing():
            pass

    kind = kind_of(work, max_attempts=1)
    job = put(kind)
    run_once(kind)
    assert (fresh(job).state, fresh(job).error_type) == ("failed", "RuntimeError")


def test_the_heart_stops_when_nothing_is_held(kind_of):
    def work(jobs):
        time.sleep(0.5)
        with jobs[0].finishing():
            pass

    kind = kind_of(work)
    put(kind)
    run_once(kind)
    until(lambda: "jobs-heart" not in {thread.name for thread in threading.enumerate()})


def test_how_far_the_jobs_of_an_origin_are_counts_what_is_under_way(kind_of):
    kind = kind_of(lambda jobs: None, batch_size=9)
    jobs = [put(kind, origin="run:1") for _ in range(4)]
    put(kind, origin="run:2")
    claims.claim(kind)
    Job.objects.filter(pk=jobs[0].pk).update(
        state="done", claim=None, lease_until=None, finished_at=F("started_at"), progress_done=9, progress_total=9
    )
    Job.objects.filter(pk=jobs[1].pk).update(progress_done=3, progress_total=4)
    Job.objects.filter(pk=jobs[2].pk).update(progress_done=7, progress_total=0)
    found = progress_by_origin(["run:1", "run:2", "run:3"])
    assert found == {
        "run:1": outcomes.Progress(ended=1, running=3, total=4, done=1.75),
        "run:2": outcomes.Progress(ended=0, running=1, total=1, done=0.0),
    }
