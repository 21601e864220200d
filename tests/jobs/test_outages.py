"""A server that is away or a full disk is nothing against the job that met it: the job waits, whatever its attempts."""

import errno
import os

import psycopg
import pytest
from django.db import OperationalError, connection

from common.objects import ObjectStoreRefused, ObjectStoreUnavailable
from jobs.batches import Permanent
from jobs.heart import heart
from jobs.models import Job
from jobs.outages import is_outage
from jobs.runner import answer_bell, run_waiting
from tests.jobs.conftest import COMMITTED, fresh, in_threads, put, run_once
from tests.jobs.handlers import effect

pytestmark = COMMITTED


@pytest.fixture(autouse=True)
def soon(settings):
    settings.JOBS_OUTAGE_SECONDS = 0.0


def caused_by(cause):
    error = OperationalError()
    error.__cause__ = cause
    return error


OUTAGES = {
    "store-away": ObjectStoreUnavailable("away"),
    "keys-refused": ObjectStoreRefused("refused"),
    "disk-full": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "quota-used-up": OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    "database-gone": caused_by(psycopg.OperationalError("server closed the connection unexpectedly")),
    "database-stops": caused_by(psycopg.errors.AdminShutdown()),
    "database-starts": caused_by(psycopg.errors.CannotConnectNow()),
    "database-disk-full": caused_by(psycopg.errors.DiskFull()),
    "database-connections-used-up": caused_by(psycopg.errors.TooManyConnections()),
}
FAULTS = {
    "a-bug": ValueError("no"),
    "a-file-that-is-not-there": FileNotFoundError(errno.ENOENT, "no"),
    "a-lock-not-had": caused_by(psycopg.errors.LockNotAvailable()),
    "a-deadlock": caused_by(psycopg.errors.DeadlockDetected()),
    "a-constraint": caused_by(psycopg.errors.UniqueViolation()),
    "a-query-too-long": caused_by(psycopg.errors.QueryCanceled()),
}


@pytest.mark.parametrize("error", OUTAGES.values(), ids=OUTAGES.keys())
def test_these_are_outages(error):
    assert is_outage(error)


@pytest.mark.parametrize("error", FAULTS.values(), ids=FAULTS.keys())
def test_these_are_not(error):
    assert not is_outage(error)


def test_an_error_that_was_raised_from_an_outage_is_one_and_an_error_beside_it_is_not():
    from_it, beside_it = RuntimeError(), RuntimeError()
    from_it.__cause__ = beside_it.__context__ = ObjectStoreUnavailable("away")
    assert is_outage(from_it)
    assert not is_outage(beside_it)


def raising(error, *, times):
    """A handler that meets `error` so often, and then does its work."""
    left = [times]

    def handle(jobs):
        for job in jobs:
            with job.isolated():
                if left[0]:
                    left[0] -= 1
                    raise error
                with job.finishing():
                    effect(job)

    return handle


def test_a_job_outlives_more_outages_than_it_has_attempts(effects, kind_of):
    kind = kind_of(raising(ObjectStoreUnavailable("away"), times=7), max_attempts=2)
    job = put(kind)
    assert run_waiting([kind.name]) == 8
    assert (fresh(job).state, fresh(job).attempts, effects()) == ("done", 1, [job.pk])


def test_what_it_met_is_said_while_it_waits(kind_of, settings):
    settings.JOBS_OUTAGE_SECONDS = 100.0
    kind = kind_of(raising(ObjectStoreUnavailable("The object store is away."), times=1), max_attempts=1)
    job = put(kind)
    run_once(kind)
    stored = fresh(job)
    assert (stored.state, stored.attempts, stored.error_message) == ("waiting", 0, "The object store is away.")
    assert 45 < (stored.available_at - stored.started_at).total_seconds() < 110


def test_what_ends_a_whole_batch_is_nobody_s_fault_in_it(effects, kind_of):
    left = [3]

    def handle(jobs):
        if left[0]:
            left[0] -= 1
            raise OSError(errno.ENOSPC, "full")
        for job in jobs:
            with job.finishing():
                effect(job)

    kind = kind_of(handle, batch_size=4, max_attempts=1)
    made = [put(kind).pk for _ in range(4)]
    # Still together: none of them is suspected of anything.
    assert run_waiting([kind.name]) == 4
    assert effects() == made
    assert set(Job.objects.values_list("attempts", "alone")) == {(1, False)}


def test_a_permanent_error_that_an_outage_led_to_stays_permanent(kind_of):
    def refuse(jobs):
        raise Permanent("not to be had") from ObjectStoreUnavailable("away")

    kind = kind_of(refuse)
    job = put(kind)
    run_once(kind)
    assert fresh(job).state == "failed"


def test_a_job_that_has_met_outages_for_a_day_has_its_attempts_and_no_more(kind_of):
    kind = kind_of(raising(ObjectStoreUnavailable("away"), times=9), max_attempts=2)
    job = put(kind)
    run_once(kind)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobs_job SET created_at = created_at - interval '25 hours'")
    run_waiting([kind.name])
    assert (fresh(job).state, fresh(job).attempts) == ("failed", 2)


def test_a_cancelled_job_does_not_wait_for_the_end_of_an_outage(kind_of):
    def handle(jobs):
        Job.objects.update(cancel_requested=True)
        raise ObjectStoreUnavailable("away")

    kind = kind_of(handle)
    job = put(kind)
    run_once(kind)
    assert fresh(job).state == "cancelled"


def test_jobs_whose_claim_was_the_last_that_the_database_heard_are_run_all_the_same(effects, kind_of, monkeypatch):
    """Else the heart would keep them from everybody, this process among them, for as long as it lives."""

    def work(jobs):
        for job in jobs:
            with job.finishing():
                effect(job)

    hold = heart.hold

    def hold_and_lose_the_database(jobs):
        hold(jobs)
        cut()

    kind = kind_of(work, batch_size=3)
    made = [put(kind).pk for _ in range(3)]
    monkeypatch.setattr(heart, "hold", hold_and_lose_the_database)
    assert in_threads(1, lambda _: answer_bell(kind.name, ring=lambda name: None)) == [1]
    assert not heart.holds()
    assert effects() == made
    assert set(Job.objects.values_list("state", "attempts")) == {("done", 1)}


def cut():
    """End this thread's session in the database, as a restart would."""
    with pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
