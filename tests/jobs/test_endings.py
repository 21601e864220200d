"""What is recorded of an end stands exactly if the end does, whichever way a job has ended."""

import pytest
from django.db import transaction

from jobs import claims, endings, services
from jobs.errors import Described
from jobs.services import retry
from tests.jobs.conftest import COMMITTED, expire_leases, fresh, put, run_once

pytestmark = COMMITTED
WRONG = Described("Wrong", "", "")


def finish(jobs):
    for job in jobs:
        with job.finishing():
            pass


@pytest.fixture
def recorded(monkeypatch):
    """The ends of jobs of the kinds that were asked for: `recorded.of(kind)`."""

    class Recorded(list):
        def of(self, kind):
            endings.register(kind.name, self.take)
            return self

        def take(self, ended):
            assert transaction.get_connection().in_atomic_block
            self.extend((job.id, job.state, job.workspace_id) for job in ended)

        def __hash__(self):
            return id(self)

    monkeypatch.setattr(endings, "_recorders", {})
    return Recorded()


def claimed(kind):
    [taken] = claims.claim(kind)
    return taken


def fail(kind, **told):
    taken = claimed(kind)
    claims.fail(taken.id, taken.claim, error=WRONG, attempt=1, alone=False, **told)


def test_a_job_that_is_done_is_recorded_with_whose_it_is(kind_of, recorded):
    kind = kind_of(finish)
    recorded.of(kind)
    job = put(kind, workspace_id=7)
    run_once(kind)
    assert recorded == [(job.pk, "done", 7)]


def test_an_attempt_that_is_made_again_is_no_end(kind_of, recorded):
    kind = kind_of(finish)
    recorded.of(kind)
    put(kind)
    fail(kind, retry=True)
    assert recorded == []


def test_a_job_that_has_failed_is_recorded(kind_of, recorded):
    kind = kind_of(finish)
    recorded.of(kind)
    job = put(kind)
    fail(kind, retry=False)
    assert recorded == [(job.pk, "failed", None)]


def test_jobs_that_are_cancelled_are_recorded_waiting_or_running_or_given_back(kind_of, recorded):
    kind = kind_of(finish)
    recorded.of(kind)
    waiting, running, back = put(kind), put(kind), put(kind)
    services.cancel(waiting.pk)
    assert recorded == [(waiting.pk, "cancelled", None)]
    taken = [claimed(kind), claimed(kind)]
    services.cancel(running.pk, back.pk)
    assert len(recorded) == 1
    claims.fail(taken[0].id, taken[0].claim, error=WRONG, attempt=1, retry=True, alone=False)
    claims.give_back(taken[1].id, taken[1].claim)
    assert recorded[1:] == [(running.pk, "cancelled", None), (back.pk, "cancelled", None)]


def test_a_job_that_went_back_has_not_ended(kind_of, recorded):
    kind = kind_of(finish)
    recorded.of(kind)
    put(kind)
    taken = claimed(kind)
    assert claims.give_back(taken.id, taken.claim)
    assert recorded == []


def test_a_job_whose_lease_ran_out_for_the_last_time_is_recorded(kind_of, recorded):
    kind = kind_of(finish, max_attempts=1)
    recorded.of(kind)
    job = put(kind)
    claimed(kind)
    expire_leases()
    services.sweep()
    assert recorded == [(job.pk, "failed", None)]


def test_a_job_that_is_let_run_again_ends_twice(kind_of, recorded):
    kind = kind_of(finish)
    recorded.of(kind)
    job = put(kind)
    fail(kind, retry=False)
    retry(job.pk)
    run_once(kind)
    assert [state for _, state, _ in recorded] == ["failed", "done"]


def test_other_kinds_are_nobodys_business(kind_of, recorded):
    kind, other = kind_of(finish), kind_of(finish)
    recorded.of(other)
    put(kind)
    run_once(kind)
    assert recorded == []


def test_where_it_cannot_be_recorded_the_job_has_not_ended(kind_of, monkeypatch):
    kind = kind_of(finish)
    monkeypatch.setattr(endings, "_recorders", {})

    def refuse(ended):
        raise RuntimeError

    endings.register(kind.name, refuse)
    job = put(kind)
    with pytest.raises(RuntimeError):
        services.cancel(job.pk)
    assert fresh(job).state == "waiting"
    monkeypatch.setattr(endings, "_recorders", {})
    services.cancel(job.pk)
    assert fresh(job).state == "cancelled"


def test_a_kind_has_one_recorder(recorded, kind_of):
    kind = kind_of(finish)
    recorded.of(kind).of(kind)
    with pytest.raises(ValueError, match="two recorders"):
        endings.register(kind.name, print)
