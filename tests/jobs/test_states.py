"""The database refuses rows that make no sense, whoever writes them."""

import uuid

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from jobs.models import Job, Worker

RUNNING = {"state": "running", "claim": uuid.uuid4(), "lease_until": Now(), "started_at": Now(), "attempts": 1}
NONSENSE = {
    "an unknown state": {"state": "sleeping"},
    "no kind": {"kind": ""},
    "waiting with a claim": {"claim": uuid.uuid4()},
    "waiting with a lease": {"lease_until": Now()},
    "waiting with a time of finishing": {"finished_at": Now()},
    "waiting with no attempt left": {"attempts": 3},
    "running without a claim": RUNNING | {"claim": None},
    "running without a lease": RUNNING | {"lease_until": None},
    "running without a start": RUNNING | {"started_at": None},
    "running without an attempt": RUNNING | {"attempts": 0},
    "running beyond its attempts": RUNNING | {"attempts": 4},
    "done without a time": {"state": "done", "attempts": 1},
    "done with a claim": {"state": "done", "attempts": 1, "finished_at": Now(), "claim": uuid.uuid4()},
    "done without an attempt": {"state": "done", "finished_at": Now()},
    "failed without an error": {"state": "failed", "finished_at": Now()},
    "failed without a time": {"state": "failed", "error_type": "ValueError"},
    "cancelled without a time": {"state": "cancelled"},
    "a result of what is not done": {"result": {"rows": 1}},
    "a cancel asked of a waiting job": {"cancel_requested": True},
    "an empty dedupe key": {"dedupe_key": ""},
    "negative progress": {"progress_done": -1},
    "no attempt allowed": {"max_attempts": 0},
}


@pytest.mark.django_db
@pytest.mark.parametrize("values", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_refused(values):
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.create(**({"kind": "test.record"} | values))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "values",
    [
        {},
        RUNNING,
        RUNNING | {"cancel_requested": True},
        {"state": "done", "attempts": 1, "finished_at": Now(), "result": {}},
        {"state": "failed", "error_type": "ValueError", "finished_at": Now()},
        {"state": "cancelled", "cancel_requested": True, "finished_at": Now()},
    ],
    ids=["waiting", "running", "asked to cancel", "done", "failed", "cancelled"],
)
def test_sense_is_accepted(values):
    assert Job.objects.create(**({"kind": "test.record"} | values)).pk


@pytest.mark.django_db
def test_two_unfinished_jobs_do_not_share_a_dedupe_key():
    Job.objects.create(kind="test.record", dedupe_key="embed:7")
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.create(kind="test.record", dedupe_key="embed:7", **RUNNING)


@pytest.mark.django_db
def test_a_finished_job_leaves_its_dedupe_key_to_the_next():
    Job.objects.create(kind="test.record", dedupe_key="embed:7", state="cancelled", finished_at=Now())
    assert Job.objects.create(kind="test.record", dedupe_key="embed:7").pk


@pytest.mark.django_db
def test_a_lost_worker_has_stopped():
    with pytest.raises(IntegrityError), transaction.atomic():
        Worker.objects.create(hostname="a", pid=1, lost=True)
