"""The admin shows jobs without users' text, and changes them by services alone."""

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from jobs import claims
from jobs.models import Job, Worker
from jobs.services import JobSpec, enqueue
from tests.jobs.conftest import fresh

pytestmark = pytest.mark.django_db

SECRET = "what alice wrote"


@pytest.fixture
def staff(client):
    user = get_user_model().objects.create_superuser("root", password="pw")
    client.force_login(user)
    return client


@pytest.fixture
def job(kind_of):
    return enqueue(JobSpec(kind=kind_of(None).name, payload={"text": SECRET, "n": 1}, origin="run:12"))


def act(client, action, *jobs):
    return client.post(
        reverse("admin:jobs_job_changelist"), {"action": action, "_selected_action": [job.pk for job in jobs]}
    )


def test_the_list_shows_the_job(staff, job):
    page = staff.get(reverse("admin:jobs_job_changelist")).content.decode()
    assert "run:12" in page
    assert SECRET not in page


def test_the_list_counts_no_whole_table(staff, job):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        staff.get(reverse("admin:jobs_job_changelist"))
    counts = [q["sql"] for q in queries if "COUNT(" in q["sql"].upper() and "jobs_job" in q["sql"]]
    assert counts
    assert all("LIMIT 10000" in sql for sql in counts)


def test_a_job_is_found_by_its_origin(staff, job):
    page = staff.get(reverse("admin:jobs_job_changelist"), {"q": "run:12"}).content.decode()
    assert f"/{job.pk}/change/" in page


def test_the_detail_shows_the_payloads_keys_alone(staff, job):
    page = staff.get(reverse("admin:jobs_job_change", args=[job.pk])).content.decode()
    assert "n, text" in page
    assert SECRET not in page


def test_nothing_can_be_edited(staff, job):
    staff.post(reverse("admin:jobs_job_change", args=[job.pk]), {"kind": "other", "state": "done"})
    assert (fresh(job).kind, fresh(job).state) == (job.kind, "waiting")


def test_jobs_are_cancelled_and_retried(staff, job):
    act(staff, "cancel_jobs", job)
    assert fresh(job).state == "cancelled"
    act(staff, "retry_jobs", job)
    assert fresh(job).state == "waiting"


def test_cancelling_leaves_other_jobs(staff, job, kind_of):
    other = enqueue(JobSpec(kind=job.kind))
    act(staff, "cancel_jobs", job)
    assert fresh(other).state == "waiting"


def test_the_progress_and_the_error_are_shown(staff, job):
    from jobs import kinds
    from jobs.errors import Described

    [taken] = claims.claim(kinds.get(job.kind))
    Job.objects.update(progress_done=3, progress_total=9, progress_message="rows")
    error = Described("ValueError", "withheld", 'File "x.py", line 3, in run')
    claims.fail(taken.id, taken.claim, error=error, attempt=1, retry=False, alone=False)
    page = staff.get(reverse("admin:jobs_job_change", args=[job.pk])).content.decode()
    assert "3 / 9 rows" in page
    assert "line 3, in run" in page


def test_workers_are_listed(staff):
    Worker.objects.create(hostname="gpu-7", pid=1, queues=["model"])
    assert "gpu-7" in staff.get(reverse("admin:jobs_worker_changelist")).content.decode()


def test_a_stranger_sees_nothing(client, job):
    assert client.get(reverse("admin:jobs_job_changelist")).status_code == 302
