"""How the queues stand: of whose jobs, and counted no further than anybody reads."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobs import claims, kinds, queues
from jobs.errors import Described
from jobs.models import Job, Worker
from jobs.queues import queue_standings
from jobs.services import JobSpec, enqueue, enqueue_many

pytestmark = pytest.mark.django_db


@pytest.fixture
def kind(kind_of):
    return kind_of(None)


def standing_of(kind, workspace_ids=None):
    [found] = [
        one
        for queue in queue_standings(workspace_ids=workspace_ids)
        for one in queue.kinds
        if one.kind == kind.name and queue.queue == kind.queue
    ]
    return found


def ended_badly(kind, **since):
    [taken] = claims.claim(kinds.get(kind.name))
    claims.fail(taken.id, taken.claim, error=Described("E", "m", ""), attempt=1, retry=False, alone=False)
    Job.objects.filter(pk=taken.id).update(finished_at=timezone.now() - timedelta(**since))


def test_what_waits_what_runs_and_what_failed_lately_is_counted(kind):
    for _ in range(5):
        enqueue(JobSpec(kind=kind.name))
    ended_badly(kind, hours=1)
    ended_badly(kind, days=2)
    claims.claim(kinds.get(kind.name))
    found = standing_of(kind)
    assert (found.waiting, found.running, found.failed, found.more) == (2, 1, 1, False)


def test_the_oldest_is_the_one_that_has_waited_longest(kind):
    first, second = (enqueue(JobSpec(kind=kind.name, priority=priority)) for priority in (0, 5))
    long_ago = timezone.now() - timedelta(days=3)
    Job.objects.filter(pk=first.pk).update(created_at=long_ago)
    assert standing_of(kind).oldest == long_ago
    Job.objects.all().delete()
    assert standing_of(kind).oldest is None
    assert second.pk > first.pk


def test_a_workspace_s_jobs_are_counted_without_the_others(kind):
    for workspace_id in (1, 1, 2, None):
        enqueue(JobSpec(kind=kind.name, workspace_id=workspace_id))
    counted = [standing_of(kind, ids).waiting for ids in (None, [1], [1, 2], [], [3])]
    assert counted == [4, 2, 3, 0, 0]


def test_counting_ends_somewhere(kind, monkeypatch):
    monkeypatch.setattr(queues, "MOST_COUNTED", 3)
    enqueue_many(JobSpec(kind=kind.name) for _ in range(7))
    found = standing_of(kind)
    assert (found.waiting, found.more) == (3, True)


def test_live_workers_are_counted_by_queue(kind):
    Worker.objects.create(hostname="a", pid=1, queues=["cpu"])
    Worker.objects.create(hostname="b", pid=2, queues=["cpu", "model"])
    Worker.objects.create(hostname="c", pid=3, queues=["cpu"], heartbeat_at=timezone.now() - timedelta(hours=1))
    assert {one.queue: one.workers for one in queue_standings(workspace_ids=None)} == {
        "cpu": 2,
        "model": 1,
        "training": 0,
    }


def test_the_page_says_when_nobody_serves_a_queue(client, kind):
    client.force_login(get_user_model().objects.create_superuser("root"))
    enqueue(JobSpec(kind=kind.name))
    page = client.get(reverse("admin:queues")).content.decode()
    assert "no worker serves this queue" in page
    Worker.objects.create(hostname="gpu-7", pid=1, queues=[kind.queue])
    page = client.get(reverse("admin:queues")).content.decode()
    assert "no worker serves this queue" not in page
    assert "gpu-7" in page


def test_the_page_shows_progress_of_what_runs(client, kind):
    client.force_login(get_user_model().objects.create_superuser("root"))
    enqueue(JobSpec(kind=kind.name, payload={"text": "what alice wrote"}))
    [taken] = claims.claim(kinds.get(kind.name))
    Job.objects.filter(pk=taken.id).update(progress_done=3, progress_total=9, progress_message="rows")
    page = client.get(reverse("admin:queues")).content.decode()
    assert 'value="3" max="9"' in page
    assert "what alice wrote" not in page


def test_the_page_takes_few_queries(client, kind):
    client.force_login(get_user_model().objects.create_superuser("root"))
    enqueue_many(JobSpec(kind=kind.name) for _ in range(60))
    for page in (reverse("admin:queues"), reverse("admin:index")):
        with CaptureQueriesContext(connection) as found:
            assert client.get(page).status_code == 200
        assert len(found) <= 12


def test_a_member_sees_their_workspace_s_jobs_and_no_worker(client, kind, workspace, mallory):
    from users_app.models import Membership
    from users_app.services import set_role

    member = get_user_model().objects.create_user("member", is_staff=True)
    set_role(workspace=workspace, user_id=member.pk, role=Membership.Role.VIEWER)
    client.force_login(member)
    Worker.objects.create(hostname="gpu-7", pid=1, queues=[kind.queue])
    enqueue(JobSpec(kind=kind.name, workspace_id=mallory.workspace_id))
    claims.claim(kinds.get(kind.name))
    answer = client.get(reverse("admin:queues"))
    assert list(answer.context["running"]) == []
    assert "gpu-7" not in answer.content.decode()
    assert {one.waiting + one.running for one in answer.context["queues"]} == {0}


def test_whoever_may_not_enter_sees_no_queues(client, db):
    assert client.get(reverse("admin:queues")).status_code == 302
    client.force_login(get_user_model().objects.create_user("somebody"))
    assert client.get(reverse("admin:queues")).status_code == 302


@pytest.mark.parametrize("role", ["viewer", "researcher"])
def test_jobs_are_cancelled_by_who_may_start_them_and_in_their_workspace(client, kind, workspace, mallory, role):
    from users_app.services import set_role

    member = get_user_model().objects.create_user("member", is_staff=True)
    set_role(workspace=workspace, user_id=member.pk, role=role)
    set_role(workspace=mallory.workspace, user_id=member.pk, role="viewer")
    client.force_login(member)
    own, others = (enqueue(JobSpec(kind=kind.name, workspace_id=one.pk)) for one in (workspace, mallory.workspace))
    client.post(
        reverse("admin:jobs_job_changelist"), {"action": "cancel_jobs", "_selected_action": [own.pk, others.pk]}
    )
    states = [Job.objects.get(pk=one.pk).state for one in (own, others)]
    assert states == ["cancelled" if role == "researcher" else "waiting", "waiting"]
