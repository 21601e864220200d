"""Sweeps: who is due is retrained once, within the budget, however many ask and whatever is lost."""

import threading
import traceback
from datetime import timedelta

import pytest
from django.db import OperationalError, connections
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule

from jobs import runner
from jobs.models import Job
from jobs.services import sweep as sweep_of_jobs
from tests import people
from tests.people import give
from tests.training_app.retraining.policies import a_policy, end, ends_as
from training_app.models import Retraining, RetrainingPolicy, RetrainingSweep
from training_app.retraining import sweeps
from training_app.retraining.policy_selectors import counts_of, policy_by_id
from training_app.retraining.sweeps import (
    advance_stalled,
    cancel_sweep,
    request_scheduled_sweep,
    request_sweep,
    start_requested_sweep,
    start_sweep,
)
from users_app.erasure import erase_end_user
from users_app.models import AuditEntry
from workers.tasks import sweep_retraining

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def begins(monkeypatch):
    """Let retrainings begin in this way."""

    def by(begin):
        monkeypatch.setattr(sweeps, "_begin", begin)

    return by


@pytest.fixture
def crowd(workspace):
    """Five people, the later ones with more documents."""
    return [
        people.person(workspace, name, [{"text": f"{name} {n}"} for n in range(number)])
        for number, name in enumerate("abcde", start=2)
    ]


@pytest.fixture
def policy(workspace):
    return a_policy(workspace)


def fresh(policy):
    return policy_by_id(workspace=policy.workspace, policy_id=policy.pk)


def states(sweep):
    """By external id, in the sweep's order."""
    return dict(sweep.retrainings.order_by("position").values_list("end_user__external_id", "state"))


class TestASweep:
    def test_retrains_everybody_who_is_due_in_order_and_is_done(self, begins, policy, crowd):
        begins(ends_as("promoted", seconds=2.0))
        sweep = start_sweep(policy=policy)
        assert states(sweep) == dict.fromkeys("edcba", "promoted")
        sweep.refresh_from_db()
        assert (sweep.state, sweep.due, sweep.beyond_budget, sweep.training_seconds) == ("done", 5, 0, 10.0)
        assert sweep.finished_at is not None
        assert {one.due_for["first"] for one in sweep.retrainings.all()} == {True}

    def test_of_nobody_is_done_at_once(self, policy):
        sweep = start_sweep(policy=policy)
        assert (sweep.state, sweep.due) == ("done", 0)

    def test_keeps_the_rules_by_which_it_began(self, policy, begins, crowd):
        begins(ends_as("kept", at_once=False))
        sweep = start_sweep(policy=policy, asked_by="staff 5")
        assert sweep.asked_by == "staff 5"
        assert (sweep.rules["new_documents"], sweep.rules["minimum_documents"], sweep.rules["rank"]) == (2, 2, 8)
        assert sweep.rules["base_model"] == "some/t5@1"

    def test_trains_nobody_whom_the_last_one_trained(self, begins, policy, crowd):
        begins(ends_as("promoted"))
        start_sweep(policy=policy)
        give(crowd[0], [{"text": "one more"}, {"text": "and another"}])
        sweep = start_sweep(policy=policy)
        assert states(sweep) == {"a": "promoted"}
        assert sweep.retrainings.get().due_for == {"new": 2}

    def test_takes_up_again_who_has_failed(self, begins, policy, crowd):
        begins(ends_as("failed"))
        start_sweep(policy=policy)
        begins(ends_as("promoted"))
        assert states(start_sweep(policy=policy)) == dict.fromkeys("edcba", "promoted")

    def test_counts_what_came_of_it(self, begins, policy, crowd):
        begins(ends_as("promoted", at_once=False))
        policy.budget_users = 4
        policy.save()
        sweep = start_sweep(policy=policy)
        for one, state in zip(sweep.retrainings.order_by("position")[:3], ("promoted", "kept", "failed"), strict=True):
            end(one.pk, state, seconds=1.5)
        counts = counts_of(workspace=policy.workspace, sweeps=[sweep])[sweep.pk]
        assert {state: number for state, number in counts.by_state.items() if number} == {
            "promoted": 1, "kept": 1, "failed": 1, "trial": 1, "beyond_budget": 1,
        }  # fmt: skip
        assert (counts.trained, counts.training_seconds) == (2, 4.5)
        elsewhere = people.workspace("elsewhere")
        assert counts_of(workspace=elsewhere, sweeps=[sweep])[sweep.pk].trained == 0


class TestTheBudget:
    def test_of_users_leaves_the_rest_to_the_next_sweep(self, begins, policy, crowd):
        begins(ends_as("promoted"))
        RetrainingPolicy.objects.update(budget_users=2)
        policy = fresh(policy)
        first = start_sweep(policy=policy)
        first.refresh_from_db()
        assert states(first) == {"e": "promoted", "d": "promoted"} | dict.fromkeys("cba", "beyond_budget")
        assert (first.state, first.due, first.beyond_budget) == ("done", 5, 3)
        assert first.retrainings.filter(state="beyond_budget").first().reason == "The sweep's budget is 2 users."
        second = start_sweep(policy=policy)
        assert states(second) == {"c": "promoted", "b": "promoted", "a": "beyond_budget"}

    def test_of_minutes_lets_nobody_begin_once_it_is_used_up(self, begins, policy, crowd, settings):
        settings.TRAINING_SLOTS = 1
        begins(ends_as("promoted", seconds=20.0))
        RetrainingPolicy.objects.update(budget_minutes=1)
        sweep = start_sweep(policy=fresh(policy))
        sweep.refresh_from_db()
        assert states(sweep) == dict.fromkeys("edc", "promoted") | dict.fromkeys("ba", "beyond_budget")
        assert (sweep.state, sweep.beyond_budget, sweep.training_seconds) == ("done", 2, 60.0)


class TestTheWindow:
    def test_is_a_few_times_what_trains_at_once_and_moves_on_with_every_end(self, begins, policy, crowd, settings):
        settings.TRAINING_SLOTS = 1
        begins(ends_as("kept", at_once=False))
        sweep = start_sweep(policy=policy)
        assert states(sweep) == dict.fromkeys("edc", "trial") | dict.fromkeys("ba", "waiting")
        end(sweep.retrainings.get(end_user__external_id="d").pk)
        assert states(sweep) == {"e": "trial", "d": "promoted", "c": "trial", "b": "trial", "a": "waiting"}

    def test_of_a_lost_call_is_found_by_the_sweep_of_jobs(self, begins, policy, crowd, settings):
        settings.TRAINING_SLOTS = 1
        begins(ends_as("kept", at_once=False))
        sweep = start_sweep(policy=policy)
        Retraining.objects.filter(state="trial").update(state="kept", reason="x", finished_at=timezone.now())
        sweep_of_jobs()
        assert states(sweep) == dict.fromkeys("edc", "kept") | dict.fromkeys("ba", "trial")
        Retraining.objects.filter(state="trial").update(state="kept", reason="x", finished_at=timezone.now())
        advance_stalled()
        sweep.refresh_from_db()
        assert sweep.state == "done"

    def test_ends_many_that_end_as_they_begin_without_nesting(self, begins, policy, workspace):
        for n in range(60):
            people.person(workspace, f"user {n}", [{"text": "one"}, {"text": "two"}])
        depths = []

        def begin(*, retraining_id):
            depths.append(len(traceback.extract_stack()))
            ends_as("failed")(retraining_id=retraining_id)

        begins(begin)
        sweep = start_sweep(policy=policy)
        sweep.refresh_from_db()
        assert (sweep.state, sweep.due) == ("done", 60)
        assert len(set(depths)) == 1


class TestARetrainingThatCannotBegin:
    def test_fails_and_holds_nobody_up(self, begins, policy, crowd):
        def begin(*, retraining_id):
            if Retraining.objects.get(pk=retraining_id).end_user.external_id == "d":
                raise ValueError("what the user has written")
            ends_as("promoted")(retraining_id=retraining_id)

        begins(begin)
        sweep = start_sweep(policy=policy)
        assert states(sweep) == dict.fromkeys("edcba", "promoted") | {"d": "failed"}
        reason = sweep.retrainings.get(state="failed").reason
        assert reason.startswith("It could not be begun: ValueError.")
        assert "written" not in reason

    def test_for_the_database_begins_at_the_next_look(self, begins, policy, crowd):
        def begin(*, retraining_id):
            raise OperationalError("the connection is lost")

        begins(begin)
        sweep = start_sweep(policy=policy)
        assert set(states(sweep).values()) == {"waiting"}
        begins(ends_as("promoted"))
        advance_stalled()
        assert set(states(sweep).values()) == {"promoted"}

    def test_fails_where_nothing_has_happened(self, begins, policy, crowd):
        begins(lambda *, retraining_id: None)
        assert set(states(start_sweep(policy=policy)).values()) == {"failed"}


class TestTwoAtOnce:
    def test_make_one_sweep(self, begins, policy, crowd):
        begins(ends_as("promoted"))
        made, both = [], threading.Barrier(2)

        def beat():
            try:
                own = fresh(policy)
                both.wait(20)
                made.append(start_sweep(policy=own))
            finally:
                connections.close_all()

        threads = [threading.Thread(target=beat) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(one is None for one in made) == [False, True]
        assert RetrainingSweep.objects.count() == 1
        assert Retraining.objects.count() == 5

    def test_of_one_policy_do_not_run_side_by_side(self, begins, policy, crowd):
        begins(ends_as("promoted", at_once=False))
        assert start_sweep(policy=policy) is not None
        assert start_sweep(policy=fresh(policy)) is None

    def test_of_two_policies_train_nobody_twice(self, begins, policy, crowd):
        begins(ends_as("promoted", at_once=False))
        start_sweep(policy=policy)
        other = start_sweep(policy=a_policy(policy.workspace, name="other"))
        assert (other.state, other.due) == ("done", 0)

    def test_of_two_policies_at_the_same_moment_train_nobody_twice(self, begins, policy, crowd):
        begins(ends_as("promoted", at_once=False))
        policies = [policy, a_policy(policy.workspace, name="other", order="oldest")]
        both = threading.Barrier(2)

        def beat(one):
            try:
                both.wait(20)
                start_sweep(policy=one)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=beat, args=[one]) for one in policies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert RetrainingSweep.objects.count() == 2
        assert sum(RetrainingSweep.objects.values_list("due", flat=True)) == Retraining.objects.count() == 5


class TestACancelledSweep:
    def test_lets_nobody_else_begin_and_what_is_under_way_comes_to_its_end(self, begins, policy, crowd, settings):
        settings.TRAINING_SLOTS = 1
        begins(ends_as("promoted", at_once=False))
        sweep = start_sweep(policy=policy)
        assert cancel_sweep(sweep=sweep)
        assert states(sweep) == dict.fromkeys("edc", "trial") | dict.fromkeys("ba", "cancelled")
        for one in sweep.retrainings.filter(state="trial"):
            end(one.pk)
        sweep.refresh_from_db()
        assert sweep.state == "cancelled"
        assert states(sweep) == dict.fromkeys("edc", "promoted") | dict.fromkeys("ba", "cancelled")
        assert not cancel_sweep(sweep=sweep)
        [entry] = AuditEntry.objects.filter(action="retraining.cancelled")
        assert entry.subject == str(sweep.pk)


def test_whoever_is_erased_leaves_the_sweep_which_goes_on(begins, policy, crowd, settings):
    settings.TRAINING_SLOTS = 1
    begins(ends_as("promoted", at_once=False))
    sweep = start_sweep(policy=policy)
    for one in crowd[1:]:
        erase_end_user(workspace=one.workspace, end_user=one)
    advance_stalled()
    assert states(sweep) == {"a": "trial"}
    erase_end_user(workspace=crowd[0].workspace, end_user=crowd[0])
    advance_stalled()
    sweep.refresh_from_db()
    assert sweep.state == "done"


class TestAPolicysTime:
    def run(self):
        """Beat's message, and the worker that answers the bell."""
        runner.run_waiting(["sweep_retraining"])
        return Job.objects.filter(kind="sweep_retraining").order_by("pk").last()

    def test_starts_a_sweep_in_a_worker(self, begins, policy, crowd):
        begins(ends_as("promoted"))
        sweep_retraining(policy.pk)
        job = self.run()
        sweep = RetrainingSweep.objects.get()
        assert (job.state, job.result) == ("done", {"sweep_id": sweep.pk})
        assert (sweep.state, sweep.asked_by) == ("done", "")

    def test_that_two_beats_ring_for_is_one_job_and_a_late_one_starts_nothing(self, begins, policy, crowd):
        begins(ends_as("promoted"))
        assert request_scheduled_sweep(policy_id=policy.pk).pk == request_scheduled_sweep(policy_id=policy.pk).pk
        self.run()
        request_scheduled_sweep(policy_id=policy.pk)
        assert self.run().result == {"sweep_id": None}
        assert RetrainingSweep.objects.count() == 1

    def test_comes_again_after_its_period_however_short(self, begins, policy, crowd):
        begins(ends_as("promoted"))
        RetrainingPolicy.objects.update(
            interval=IntervalSchedule.objects.create(every=10, period="seconds"),
            last_swept_at=timezone.now() - timedelta(seconds=6),
        )
        assert start_requested_sweep(policy=fresh(policy), asked_by="") is not None
        assert start_requested_sweep(policy=fresh(policy), asked_by="") is None

    def test_passes_while_the_policy_is_disabled(self, policy, crowd):
        job = request_sweep(policy=policy)
        RetrainingPolicy.objects.update(enabled=False)
        assert request_scheduled_sweep(policy_id=policy.pk) is None
        assert (self.run().pk, self.run().result) == (job.pk, {"sweep_id": None})

    def test_of_somebody_who_asks_is_now_disabled_or_just_swept(self, begins, policy, crowd):
        begins(ends_as("promoted"))
        RetrainingPolicy.objects.update(enabled=False)
        start_sweep(policy=policy)
        request_sweep(policy=fresh(policy), asked_by="api key 3")
        sweep = RetrainingSweep.objects.get(pk=self.run().result["sweep_id"])
        assert sweep.asked_by == "api key 3"

    def test_of_a_policy_that_is_gone_passes(self, policy, crowd):
        request_sweep(policy=policy)
        policy.delete()
        assert self.run().state == "failed"
        assert request_scheduled_sweep(policy_id=policy.pk) is None

    def test_of_a_task_that_is_no_more_fails_and_says_so(self, policy, crowd):
        RetrainingPolicy.objects.update(task="gone")
        request_sweep(policy=policy)
        job = self.run()
        assert (job.state, job.error_message) == ("failed", "The policy's task gone is no more.")
