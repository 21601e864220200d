"""A policy's sweeps over simulated weeks: exactly those who are due are retrained, for the right reason and within the
budget. With the small model, real trainings and real answers.
"""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from tests.eval_app.stored import small_t5
from tests.people import TWEETS, give, person, tweets_of
from tests.training_app.retraining.policies import a_policy
from tests.workers.test_retraining import GOOD, IDLE, tweet
from training_app.adapters import plan_adapter, request_adapters
from training_app.models import Adapter, Retraining
from training_app.retraining.policies import change_policy
from training_app.retraining.sweeps import start_sweep
from training_app.serving_selectors import serving_adapter
from users_app.services import remove_document
from users_app.tasks import task_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]


@pytest.fixture
def policy(workspace):
    return a_policy(
        workspace,
        base_model=small_t5(),
        hyperparameters=GOOD,
        exact=True,
        new_documents=3,
        max_age_days=30,
        minimum_documents=4,
        budget_users=2,
    )


@pytest.fixture
def sweep(in_process):
    """Sweep as of so many weeks from now, and let everything that follows happen; what became of whom, and why."""

    def sweep(policy, *, week):
        policy.refresh_from_db()
        swept = start_sweep(policy=policy, at=timezone.now() + timedelta(weeks=week))
        in_process("train_adapter", "generate")
        swept.refresh_from_db()
        assert swept.state == "done"
        rows = Retraining.objects.filter(sweep=swept).select_related("end_user").order_by("position")
        return [(row.end_user.external_id, row.due_for, row.state) for row in rows]

    return sweep


def writes(end_user, number):
    """Give `end_user` so many more tweets: of later days and otherwise the same, so that whatever has learned well
    answers all alike.
    """
    count = len(tweets_of(end_user))
    return give(end_user, [tweet("monday", day) for day in range(count + 1, count + number + 1)])


@transaction.atomic
def serves(end_user):
    return serving_adapter(
        workspace=end_user.workspace,
        end_user=end_user,
        task=TWEETS,
        task_version=task_of(workspace=end_user.workspace, key=TWEETS).version,
        base_model=small_t5(),
    )


def test_adapters_follow_profiles_over_the_weeks(workspace, policy, sweep, in_process):
    rosa, otto, ines = (person(workspace, name) for name in ("rosa", "otto", "ines"))

    # Two have enough to begin with.
    writes(rosa, 6), writes(otto, 5), writes(ines, 2)
    assert sweep(policy, week=0) == [("rosa", {"first": True}, "promoted"), ("otto", {"first": True}, "promoted")]

    # One new document is not enough for Rosa; now Ines has enough.
    writes(rosa, 1), writes(ines, 2)
    assert sweep(policy, week=1) == [("ines", {"first": True}, "promoted")]

    # The most changed come first, and the third is left to the next week by the budget.
    writes(rosa, 2), writes(ines, 5)
    gone = tweets_of(otto)[0]
    remove_document(workspace=workspace, end_user=otto, task=TWEETS, client_id="otto-0")
    before = {one.pk: serves(one) for one in (rosa, otto, ines)}
    assert gone.pk in before[otto.pk].document_ids
    assert sweep(policy, week=2) == [
        ("ines", {"new": 5}, "promoted"),
        ("rosa", {"new": 3}, "promoted"),
        ("otto", {"removed": 1}, "beyond_budget"),
    ]
    assert serves(rosa) != before[rosa.pk]
    assert serves(otto) == before[otto.pk]

    # Nobody wrote anything, and what was removed makes due still.
    assert sweep(policy, week=3) == [("otto", {"removed": 1}, "promoted")]
    assert gone.pk not in serves(otto).document_ids
    assert never_saw_it(policy, otto, gone, in_process)

    # Nobody is due.
    assert sweep(policy, week=4) == []

    # Old adapters of unchanged profiles are looked at, and stay.
    change_policy(policy=policy, budget_users=None)
    before = {one.pk: serves(one) for one in (rosa, otto, ines)}
    looked_at = sweep(policy, week=5)
    assert [(name, state) for name, _, state in looked_at] == [("rosa", "kept"), ("otto", "kept"), ("ines", "kept")]
    assert all(set(reasons) == {"age_days"} for _, reasons, _ in looked_at)
    assert {one.pk: serves(one) for one in (rosa, otto, ines)} == before

    # What would be worse does not serve, and is not tried again before something changes.
    change_policy(policy=policy, hyperparameters=IDLE, max_age_days=None)
    writes(rosa, 3)
    assert sweep(policy, week=6) == [("rosa", {"new": 3}, "kept")]
    assert serves(rosa) == before[rosa.pk]
    [row] = Retraining.objects.filter(end_user=rosa, state="kept").order_by("-pk")[:1]
    assert "held out: the trial 0." in row.reason
    assert sweep(policy, week=7) == []


def test_two_policies_for_the_same_adapters_train_nobody_twice(workspace, policy, in_process):
    rosa = person(workspace, "rosa")
    writes(rosa, 6)
    another = a_policy(workspace, name="hourly", base_model=small_t5(), hyperparameters=GOOD, new_documents=1)
    first, second = (start_sweep(policy=one) for one in (policy, another))
    assert (first.due, second.due) == (1, 0)
    in_process("train_adapter", "generate")
    assert Retraining.objects.count() == 1


def never_saw_it(policy, end_user, gone, in_process):
    """Whether what serves is, byte for byte, the adapter of somebody who never had that document."""
    serving = serves(end_user)
    plan = plan_adapter(
        workspace=end_user.workspace,
        end_user_id=end_user.pk,
        task=TWEETS,
        base_model=small_t5(),
        dtype=serving.dtype,
        exact=True,
        stored_dtype="float32",
        hyperparameters=serving.hyperparameters,
        # Another name, and so another training; with dropout the seed would decide, too.
        seed=serving.seed,
        documents=[(one.pk, bytes(one.digest).hex()) for one in tweets_of(end_user) if one.pk != gone.pk],
    )
    kept = serving.content_digest
    Adapter.objects.filter(pk=serving.pk).update(identity="0" * 64)
    request_adapters(plans=[plan])
    in_process("train_adapter")
    digest = Adapter.objects.get(identity=plan.identity).content_digest
    Adapter.objects.filter(identity=plan.identity).delete()
    Adapter.objects.filter(pk=serving.pk).update(identity=plan.identity)
    return digest == kept
