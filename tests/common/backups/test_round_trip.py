"""What stands in one installation, taken and restored into an empty one, stands there."""

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from eval_app.models import Experiment
from jobs.claims import claim
from jobs.models import Job, Worker
from jobs.services import JobSpec, enqueue
from tests.backups import all_objects, all_rows, elsewhere, stored_adapter
from tests.eval_app.stored import answered_run, ended
from training_app.kinds import TRAIN_ADAPTER
from users_app.api_keys import create_api_key, recognise

pytestmark = pytest.mark.django_db(transaction=True)
OF_WORKERS = frozenset({"jobs_job", "jobs_worker", "django_session"})


@pytest.fixture
def a_full_installation(clean_store, workspace, alice, bob, dev):
    """Two people with adapters, a comparison table, a member of staff, an API key, a schedule, and a job under way."""
    for person in (alice, bob):
        stored_adapter(person)
    answers = ["rain on my roses again", "my bike", "garden gloves"]
    ended(dev, {method: answered_run(dev, answers, method=method) for method in ("none", "rag:bm25")})
    get_user_model().objects.create_user("rita", password="a secret")
    nightly = CrontabSchedule.objects.create(minute="30", hour="3")
    PeriodicTask.objects.create(name="retrain at night", task="jobs.ring", crontab=nightly, enabled=True)
    enqueue(JobSpec(kind=TRAIN_ADAPTER.name, payload={}, workspace_id=workspace.pk, end_user_id=alice.pk))
    [job] = claim(TRAIN_ADAPTER)
    worker = Worker.objects.create(hostname="old", pid=7)
    Job.objects.filter(pk=job.id).update(worker=worker)


def test_everything_comes_back_as_it_was(every_s3_server, a_full_installation, workspace, folder, capsys):
    issued = create_api_key(workspace=workspace, name="a program", scopes=["read"])
    rows, objects = all_rows(without=OF_WORKERS), all_objects()
    report = Experiment.objects.get().report
    call_command("backup", to=folder)
    with elsewhere():
        call_command("restore", source=folder)
        assert all_rows(without=OF_WORKERS) == rows
        assert all_objects() == objects
        assert len(objects) == 4
        assert Experiment.objects.get().report == report
        assert get_user_model().objects.get(username="rita").check_password("a secret")
        assert recognise(issued.token) is not None
        assert PeriodicTask.objects.get(name="retrain at night").crontab.hour == "3"
    told = capsys.readouterr()
    assert "Restored what stood at" in told.out
    assert told.err == ""


def test_jobs_that_were_running_wait_for_workers_of_the_new_installation(a_full_installation, folder, capsys):
    call_command("backup", to=folder)
    with elsewhere():
        call_command("restore", source=folder)
        job = Job.objects.get(kind=TRAIN_ADAPTER.name)
        assert (job.state, job.attempts, job.claim, job.lease_until, job.worker_id) == ("waiting", 0, None, None, None)
        assert not Worker.objects.exists()
        assert len(claim(TRAIN_ADAPTER)) == 1
    assert "wait for workers again: 1." in capsys.readouterr().out


@pytest.mark.long
def test_a_database_that_was_only_migrated_counts_as_empty(a_full_installation, folder, capsys):
    rows = all_rows(without=OF_WORKERS)
    call_command("backup", to=folder)
    with elsewhere():
        call_command("migrate", verbosity=0)
        call_command("restore", source=folder)
        assert all_rows(without=OF_WORKERS) == rows


@pytest.mark.long
def test_logins_end_with_the_installation(a_full_installation, folder, client, capsys):
    client.login(username="rita", password="a secret")
    assert all_rows()["django_session"] != []
    call_command("backup", to=folder)
    with elsewhere():
        call_command("restore", source=folder)
        assert all_rows()["django_session"] == []
