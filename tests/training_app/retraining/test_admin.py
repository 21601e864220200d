"""Policies in the admin: made and changed with their time, tried, and swept by hand."""

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from jobs.models import Job
from tests import people
from tests.training_app.adapters import a_base_model
from tests.training_app.retraining.policies import a_policy
from training_app.models import Retraining, RetrainingPolicy, RetrainingSweep
from users_app.models import AuditEntry, Membership
from users_app.services import set_role

pytestmark = pytest.mark.django_db

ADD = "/admin/training_app/retrainingpolicy/add/"
LIST = "/admin/training_app/retrainingpolicy/"


@pytest.fixture
def log_in(client, workspace):
    def log_in(role=Membership.Role.ADMIN, *, of=None):
        user = get_user_model().objects.create_user(f"{role}", is_staff=True)
        set_role(workspace=of or workspace, user_id=user.pk, role=role)
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def form(workspace):
    """What the page sends."""
    return {
        "workspace": workspace.pk,
        "name": "nightly",
        "task": "LaMP-7",
        "base_model": a_base_model().pk,
        "rank": 8,
        "enabled": "on",
        "crontab_text": "30 3 * * 1",
        "timezone": "Europe/Berlin",
        "new_documents": 5,
        "minimum_documents": 3,
        "order": "oldest",
        "hyperparameters": '{"epochs": 2}',
        "seed": 0,
        "held_out_share": 0.2,
        "held_out_most": 10,
        "adapters_kept": 3,
    }


def errors(answer):
    assert answer.status_code == 200
    return set(answer.context["adminform"].form.errors)


def due(policy):
    return reverse("admin:retraining-due", args=[policy.pk])


def test_a_policy_is_made_with_its_time(log_in, form):
    assert log_in().post(ADD, form).status_code == 302
    policy = RetrainingPolicy.objects.get()
    assert (policy.name, policy.order, policy.hyperparameters, policy.enabled) == (
        "nightly", "oldest", {"epochs": 2}, True,
    )  # fmt: skip
    task = PeriodicTask.objects.get(pk=policy.periodic_task_id)
    assert (task.crontab.hour, task.crontab.day_of_week, task.args) == ("3", "1", f"[{policy.pk}]")
    entry = AuditEntry.objects.get(action="retraining_policy.created")
    assert (entry.actor, entry.subject) == ("staff", str(policy.pk))


def test_and_changed_but_for_what_its_adapters_are(log_in, form):
    client = log_in()
    client.post(ADD, form)
    policy = RetrainingPolicy.objects.get()
    address = reverse("admin:training_app_retrainingpolicy_change", args=[policy.pk])
    page = client.get(address).content.decode()
    assert "30 3 * * 1" in page
    changed = {**form, "crontab_text": "", "every": 6, "period": "hours", "new_documents": 7, "rank": 4, "enabled": ""}
    assert client.post(address, changed).status_code == 302
    policy.refresh_from_db()
    assert (policy.new_documents, policy.rank, policy.enabled, policy.crontab) == (7, 8, False, None)
    assert (policy.interval.every, policy.periodic_task.enabled) == (6, False)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"crontab_text": "99 3 * * *"}, "crontab_text"),
        ({"timezone": "Nowhere"}, "crontab_text"),
        ({"every": 5, "period": "hours"}, "every"),
        ({"crontab_text": "", "every": 5}, "period"),
        ({"task": "nothing"}, "task"),
        ({"new_documents": ""}, "new_documents"),
        ({"hyperparameters": '{"alpha": "much"}'}, "hyperparameters"),
        ({"held_out_share": 2}, "held_out_share"),
        ({"minimum_documents": 1}, "minimum_documents"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(log_in, form, changes, field):
    assert errors(log_in().post(ADD, form | changes)) == {field}
    assert not RetrainingPolicy.objects.exists()


def test_a_policy_is_deleted_with_its_sweeps_unless_somebody_is_being_retrained(log_in, workspace, alice):
    policy = a_policy(workspace)
    sweep = RetrainingSweep.objects.create(policy=policy, rules={}, due=1)
    told = {"task": policy.task, "base_model": policy.base_model, "rank": 8, "position": 0, "due_for": {"first": True}}
    Retraining.objects.create(sweep=sweep, end_user=alice, state="trial", **told)
    client = log_in()
    address = reverse("admin:training_app_retrainingpolicy_delete", args=[policy.pk])
    assert client.post(address, {"post": "yes"}).status_code == 403
    Retraining.objects.update(state="kept", reason="x", finished_at="2030-01-01T00:00Z")
    assert client.post(address, {"post": "yes"}).status_code == 302
    assert not RetrainingSweep.objects.exists()


class TestTheDryRun:
    def test_lists_who_is_due_and_why(self, log_in, workspace, alice, bob):
        page = log_in(Membership.Role.VIEWER).get(due(a_policy(workspace))).content.decode()
        assert "2 users would be retrained now" in page
        assert page.index(">alice<") < page.index(">bob<")
        assert "no adapter yet" in page
        assert "Sweep now" not in page
        assert not Job.objects.exists()

    def test_of_nobody_says_so(self, log_in, workspace):
        assert "Nobody would be retrained now" in log_in().get(due(a_policy(workspace))).content.decode()

    def test_of_a_task_that_is_no_more_says_so(self, log_in, workspace):
        assert "is no more" in log_in().get(due(a_policy(workspace, task="gone"))).content.decode()

    def test_is_not_shown_to_strangers(self, log_in, workspace, alice, mallory):
        answer = log_in(of=mallory.workspace).get(due(a_policy(workspace)))
        assert (answer.status_code, b"alice" in answer.content) == (302, False)


class TestSweepingNow:
    def test_is_a_button_of_the_dry_run_and_an_action(self, log_in, workspace, alice):
        policy, client = a_policy(workspace), log_in()
        assert client.post(due(policy)).status_code == 302
        client.post(LIST, {"action": "sweep_selected", "_selected_action": [policy.pk]})
        job = Job.objects.get(kind="sweep_retraining")
        assert job.payload["asked_by"].startswith("staff ")
        assert AuditEntry.objects.filter(action="retraining.asked", actor="staff").count() == 2

    def test_is_for_admins(self, log_in, workspace, alice):
        policy, client = a_policy(workspace), log_in(Membership.Role.RESEARCHER)
        assert client.post(due(policy)).status_code == 405
        client.post(LIST, {"action": "sweep_selected", "_selected_action": [policy.pk]})
        assert not Job.objects.exists()

    def test_is_of_ones_own_workspace(self, log_in, workspace, mallory):
        policy, client = a_policy(workspace), log_in(of=mallory.workspace)
        client.post(due(policy))
        client.post(LIST, {"action": "sweep_selected", "_selected_action": [policy.pk]})
        assert not Job.objects.exists()


def test_a_sweep_shows_what_came_of_it_and_is_cancelled(log_in, workspace, alice, bob):
    policy = a_policy(workspace)
    sweep = RetrainingSweep.objects.create(policy=policy, rules={"rank": 8}, due=2)
    told = {"sweep": sweep, "task": policy.task, "base_model": policy.base_model, "rank": 8, "due_for": {"new": 2}}
    Retraining.objects.create(end_user=alice, position=0, state="trial", **told)
    Retraining.objects.create(end_user=bob, position=1, **told)
    client = log_in()
    page = client.get(reverse("admin:training_app_retrainingsweep_change", args=[sweep.pk])).content.decode()
    assert "1: waits for its turn; 1: the trial is trained" in page
    client.post("/admin/training_app/retrainingsweep/", {"action": "cancel_sweeps", "_selected_action": [sweep.pk]})
    sweep.refresh_from_db()
    assert sweep.state == "cancelled"
    assert set(sweep.retrainings.values_list("state", flat=True)) == {"trial", "cancelled"}


def test_a_policy_is_made_in_ones_own_workspace_alone(log_in, form, workspace):
    elsewhere = people.workspace("elsewhere")
    assert errors(log_in(of=elsewhere).post(ADD, form)) == {"workspace"}
