"""Retraining policies: made, changed and deleted with their time in beat's tables."""

import json

import pytest
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from config.celery import app
from tests import people
from tests.lamp.own_tasks import REPLIES
from tests.training_app.adapters import a_base_model
from tests.training_app.retraining.policies import ends_as
from training_app.models import RetrainingPolicy, RetrainingSweep
from training_app.retraining import policies, sweeps
from training_app.retraining.policies import (
    InvalidPolicy,
    PolicyUnderWay,
    TooManyPolicies,
    change_policy,
    create_policy,
    delete_policy,
    sweep_now,
)
from training_app.retraining.schedules import TASK, Crontab, Interval
from training_app.retraining.sweeps import start_sweep
from users_app.models import AuditEntry
from users_app.tasks import define_task

NIGHTLY = Crontab("30 3 * * *", "Europe/Berlin")


@pytest.fixture
def make(workspace):
    def policy(**told):
        rules = {"name": "nightly", "task": "LaMP-7", "base_model": a_base_model(), "new_documents": 5} | told
        return create_policy(**{"workspace": workspace, **rules})

    return policy


def wrong_with(make, **told):
    with pytest.raises(InvalidPolicy) as caught:
        make(**told)
    assert all(problem.message for problem in caught.value.problems)
    return [problem.field for problem in caught.value.problems]


class TestAPolicysTime:
    def test_is_a_row_of_beats(self, make):
        policy = make(schedule=NIGHTLY)
        task = PeriodicTask.objects.get(task=TASK)
        assert policy.periodic_task == task
        assert json.loads(task.args) == [policy.pk]
        assert (task.crontab.hour, str(task.crontab.timezone), task.interval) == ("3", "Europe/Berlin", None)
        assert (task.queue, task.enabled) == ("cpu", True)

    def test_names_a_task_that_workers_know(self):
        app.loader.import_default_modules()
        assert TASK in app.tasks

    def test_is_shared_by_policies_of_the_same_time(self, make):
        make(schedule=NIGHTLY)
        make(name="other", schedule=NIGHTLY)
        assert CrontabSchedule.objects.filter(hour="3", minute="30").count() == 1

    def test_is_changed_with_the_policy(self, make):
        policy = change_policy(policy=make(schedule=NIGHTLY), schedule=Interval(6, "hours"))
        task = PeriodicTask.objects.get(task=TASK)
        assert (task.crontab, task.interval.every, task.interval.period) == (None, 6, "hours")
        assert (policy.crontab, policy.interval) == (None, task.interval)

    def test_passes_while_it_is_disabled(self, make):
        policy = change_policy(policy=make(schedule=NIGHTLY), enabled=False)
        assert not PeriodicTask.objects.get(task=TASK).enabled
        change_policy(policy=policy, enabled=True)
        assert PeriodicTask.objects.get(task=TASK).enabled

    def test_is_nowhere_where_there_is_none(self, make):
        policy = make()
        assert (policy.crontab, policy.interval, policy.periodic_task) == (None, None, None)
        change_policy(policy=make(name="other", schedule=NIGHTLY), schedule=None)
        assert not PeriodicTask.objects.filter(task=TASK).exists()

    def test_goes_with_the_policy(self, make):
        delete_policy(policy=make(schedule=NIGHTLY))
        assert not PeriodicTask.objects.filter(task=TASK).exists()

    def test_goes_with_the_workspace(self, make, workspace):
        make(schedule=NIGHTLY)
        workspace.delete()
        assert not PeriodicTask.objects.filter(task=TASK).exists()

    def test_that_somebody_took_out_of_beats_tables_comes_back_with_the_next_change(self, make):
        policy = make(schedule=NIGHTLY)
        policy.periodic_task.delete()
        change_policy(policy=policy, seed=1)
        assert PeriodicTask.objects.filter(task=TASK).count() == 1

    @pytest.mark.parametrize(
        "schedule",
        [
            Crontab("61 3 * * *"),
            Crontab("3 * *"),
            Crontab("30 3 * * *", "Nowhere/City"),
            Crontab("30 3 * * *", "../etc"),
            Interval(0, "hours"),
            Interval(1, "seconds"),
        ],
    )
    def test_is_one_that_beat_understands(self, make, schedule):
        assert wrong_with(make, schedule=schedule) == ["schedule"]


class TestWhatAPolicySays:
    def test_is_of_a_task_of_the_workspace_by_its_own_name(self, make, workspace):
        assert make(task="LaMP_7").task == "LaMP-7"
        assert wrong_with(make, name="x", task=REPLIES["key"]) == ["task"]
        define_task(workspace=workspace, definition=REPLIES)
        assert make(name="y", task=REPLIES["key"]).task == REPLIES["key"]
        assert wrong_with(lambda **told: make(workspace=people.workspace("b"), **told), task=REPLIES["key"]) == ["task"]

    @pytest.mark.parametrize(
        ("told", "field"),
        [
            ({"name": ""}, "name"),
            ({"name": "x" * 101}, "name"),
            ({"rank": 0}, "rank"),
            ({"new_documents": 0}, "new_documents"),
            ({"new_documents": None}, "new_documents"),
            ({"new_share": -1.0}, "new_share"),
            ({"max_age_days": float("inf")}, "max_age_days"),
            ({"minimum_documents": 1}, "minimum_documents"),
            ({"budget_users": 0}, "budget_users"),
            ({"budget_minutes": 0.0}, "budget_minutes"),
            ({"order": "by name"}, "order"),
            ({"held_out_share": 1.0}, "held_out_share"),
            ({"held_out_most": 0}, "held_out_most"),
            ({"adapters_kept": 0}, "adapters_kept"),
            ({"hyperparameters": {"alpha": "much"}}, "hyperparameters/alpha"),
            ({"hyperparameters": {"nonsense": 1}}, "hyperparameters/nonsense"),
            ({"hyperparameters": {"rank": 8}}, "hyperparameters/rank"),
        ],
    )
    def test_is_within_bounds(self, make, told, field):
        assert wrong_with(make, **told) == [field]
        assert not RetrainingPolicy.objects.exists()

    def test_has_a_name_of_its_own_in_the_workspace(self, make):
        make()
        assert wrong_with(make) == ["name"]
        assert make(workspace=people.workspace("elsewhere")).name == "nightly"

    def test_may_be_changed_but_for_what_its_adapters_are(self, make):
        policy = change_policy(policy=make(), name="weekly", budget_users=10, hyperparameters={"epochs": 3})
        assert (policy.name, policy.budget_users, policy.hyperparameters) == ("weekly", 10, {"epochs": 3})
        assert wrong_with(lambda **told: change_policy(policy=policy, **told), rank=4) == ["rank"]
        assert wrong_with(lambda **told: change_policy(policy=policy, **told), new_documents=None) == ["new_documents"]
        policy.refresh_from_db()
        assert (policy.rank, policy.new_documents) == (8, 5)

    def test_is_one_of_so_many(self, make, monkeypatch):
        monkeypatch.setattr(policies, "MOST_POLICIES", 1)
        make()
        with pytest.raises(TooManyPolicies):
            make(name="other")

    def test_is_in_the_audit_log(self, make):
        policy = make()
        change_policy(policy=policy, seed=1)
        sweep_now(policy=policy, asked_by="staff 5")
        delete_policy(policy=policy)
        told = list(AuditEntry.objects.order_by("pk").values_list("action", "subject"))
        names = ["retraining_policy.created", "retraining_policy.changed", "retraining.asked",
                 "retraining_policy.deleted"]  # fmt: skip
        assert told == [(name, str(policy.pk)) for name in names]


@pytest.mark.django_db(transaction=True)
class TestDeleting:
    def test_waits_for_whoever_is_being_retrained(self, make, alice, bob, monkeypatch, settings):
        settings.TRAINING_SLOTS = 1
        monkeypatch.setattr(sweeps, "_begin", ends_as("promoted", at_once=False))
        policy = make(minimum_documents=2)
        sweep = start_sweep(policy=policy)
        with pytest.raises(PolicyUnderWay, match="2 users"):
            delete_policy(policy=policy)
        sweep.refresh_from_db()
        assert sweep.state == "running"
        sweep.retrainings.update(state="kept", reason="x", finished_at="2030-01-01T00:00Z")
        delete_policy(policy=policy)
        delete_policy(policy=policy)
        assert not RetrainingPolicy.objects.exists()
        assert not RetrainingSweep.objects.exists()
