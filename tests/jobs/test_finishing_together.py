"""Several jobs that end in one transaction: all of them, or none."""

import threading
import time

import pytest
from django.db import OperationalError, connection, transaction

from jobs import claims
from jobs.batches import ClaimedJob, finishing_together
from jobs.errors import ClaimLost
from jobs.models import Job
from jobs.services import sweep
from tests.jobs.conftest import COMMITTED, in_background, put
from tests.jobs.handlers import effect, record

pytestmark = COMMITTED


@pytest.fixture
def three(kind_of):
    """Three claimed jobs of one batch."""
    kind = kind_of(record, batch_size=3)
    for _ in range(3):
        put(kind)
    return [ClaimedJob(taken, kind) for taken in claims.claim(kind)]


def finish(jobs):
    with finishing_together(jobs):
        for job in jobs:
            effect(job)


def fail_midway(jobs):
    with finishing_together(jobs):
        effect(jobs[0])
        raise ZeroDivisionError


def states():
    return set(Job.objects.values_list("state", flat=True))


def test_all_are_done_with_their_effects(three, effects):
    three[1].progress(done=2, total=4, message="half")
    finish(three)
    assert effects() == [job.id for job in three]
    assert states() == {"done"}
    assert {job.ended_as for job in three} == {"done"}
    told = Job.objects.get(pk=three[1].id)
    assert (told.progress_done, told.progress_total, told.progress_message) == (2, 4, "half")


def test_none_is_where_one_was_taken_over(three, effects):
    Job.objects.filter(pk=three[2].id).update(lease_until="2020-01-01T00:00Z")
    sweep()
    with pytest.raises(ClaimLost):
        finish(three)
    assert effects() == []
    assert {job.ended_as for job in three} == {None}
    with three[0].finishing():
        effect(three[0])
    assert effects() == [three[0].id]


def test_none_is_where_an_effect_fails(three, effects):
    with pytest.raises(ZeroDivisionError):
        fail_midway(three)
    assert (effects(), states(), {job.ended_as for job in three}) == ([], {"running"}, {None})


def test_one_that_has_ended_cannot_end_again(three):
    with three[0].finishing():
        pass
    with pytest.raises(RuntimeError, match="already ended"), finishing_together(three):
        pass


def test_a_row_that_somebody_holds_is_not_waited_for(three, effects):
    held, enough = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            Job.objects.select_for_update().get(pk=three[1].id)
            held.set()
            enough.wait(60)

    with in_background(hold):
        assert held.wait(10)
        began = time.monotonic()
        with pytest.raises(OperationalError):
            finish(three)
        took = time.monotonic() - began
        enough.set()
    # Whoever holds the row would hold it for a minute.
    assert took < 10
    assert (effects(), states()) == ([], {"running"})


def test_elsewhere_locks_are_waited_for_as_before(three):
    with finishing_together(three):
        pass
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)


def test_it_takes_as_many_statements_as_one_job_would(three, django_assert_num_queries):
    # BEGIN and COMMIT are among them.
    with django_assert_num_queries(4), finishing_together(three):
        pass
