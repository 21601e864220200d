"""What serves, and who may choose it."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from jobs.models import Job
from lamp.catalogue import get_task
from tests.people import TWEETS, tweets_of
from tests.training_app.adapters import a_base_model, facts, plan_of
from tests.training_app.retraining.retrainings import a_retraining
from tests.training_app.serving import chosen
from training_app.adapter_deletion import delete_adapter
from training_app.adapter_selectors import adapter_by_id, adapters_of
from training_app.adapters import record_adapter, withdraw_adapter
from training_app.models import Adapter, ServingChoice
from training_app.retraining import steps
from training_app.serving import Before, ChoiceRefused, choose_adapter, served_before
from training_app.serving_selectors import Serving, serving_now, serving_of_person
from users_app.audit import INSTALLATION
from users_app.models import AuditEntry


def adapter_of(end_user, seed=0):
    return record_adapter(end_user=end_user, plan=plan_of(end_user, tweets_of(end_user), seed=seed), facts=facts())


def serving(end_user):
    with transaction.atomic():
        return serving_now(
            workspace=end_user.workspace,
            end_user=end_user,
            task=TWEETS,
            task_version=get_task(TWEETS).version,
            base_model=a_base_model(),
        )


def choose(end_user, adapter, **told):
    return choose_adapter(
        **{
            "workspace": end_user.workspace,
            "end_user": end_user,
            "task": TWEETS,
            "base_model": a_base_model(),
            "adapter": adapter,
            "reason": "It was better.",
            "by": INSTALLATION,
            **told,
        }
    )


def before(end_user):
    return served_before(workspace=end_user.workspace, end_user=end_user, task=TWEETS, base_model=a_base_model())


# -- what serves


def test_without_a_choice_the_newest_serves(alice):
    adapter_of(alice)
    newer = adapter_of(alice, seed=1)
    assert serving(alice) == Serving(newer)


def test_a_chosen_adapter_serves_though_it_is_older(alice):
    older = adapter_of(alice)
    adapter_of(alice, seed=1)
    chosen(alice, older, better_than_none=True)
    assert serving(alice) == Serving(older, True)


def test_the_newest_choice_counts(alice):
    older, newer = adapter_of(alice), adapter_of(alice, seed=1)
    for one in (older, newer, older):
        chosen(alice, one)
    assert serving(alice).adapter == older


def test_one_that_is_recorded_after_the_choice_serves_instead(alice):
    chosen(alice, adapter_of(alice))
    newer = adapter_of(alice, seed=1)
    assert serving(alice) == Serving(newer)
    chosen(alice, None)
    assert serving(alice) == Serving(None, None, none_was_chosen=True)


@pytest.mark.parametrize(
    "take_away",
    [lambda one: withdraw_adapter(adapter=one), lambda one: delete_adapter(adapter=one)],
    ids=["withdrawn", "deleted"],
)
def test_where_the_chosen_one_is_gone_none_serves_that_was_passed_over(alice, take_away):
    adapter_of(alice)
    best = adapter_of(alice, seed=1)
    adapter_of(alice, seed=2)
    chosen(alice, best)
    take_away(best)
    assert serving(alice) == Serving(None)


def test_a_choice_of_another_task_base_model_or_user_says_nothing(alice, bob):
    adapter = adapter_of(alice)
    chosen(bob, None)
    other = chosen(alice, None)
    ServingChoice.objects.filter(pk=other.pk).update(task="LaMP-4")
    assert serving(alice) == Serving(adapter)


def test_an_adapter_is_found_by_one_statement(alice):
    chosen(alice, adapter_of(alice), better_than_none=True)
    serving(alice)
    with CaptureQueriesContext(connection) as asked:
        serving(alice)
    statements = [one["sql"] for one in asked.captured_queries if "training_app_adapter" in one["sql"]]
    assert len(statements) == 1
    assert "FOR NO KEY UPDATE" in statements[0]
    assert not any('FROM "training_app_servingchoice"' in one["sql"][:60] for one in asked.captured_queries)


def test_a_trial_is_nowhere_to_be_seen(alice):
    trial = adapter_of(alice)
    Adapter.objects.filter(pk=trial.pk).update(is_trial=True)
    assert serving(alice) == Serving(None)
    assert not adapters_of(workspace=alice.workspace).exists()
    assert adapter_by_id(workspace=alice.workspace, adapter_id=trial.pk) is None
    with pytest.raises(ChoiceRefused):
        choose(alice, trial)


def test_what_serves_is_told_with_its_reason(alice):
    older = adapter_of(alice)
    assert [(one.adapter, one.why) for one in serving_of_person(workspace=alice.workspace, end_user=alice)] == [
        (older, "It is the newest.")
    ]
    chosen(alice, older)
    assert serving_of_person(workspace=alice.workspace, end_user=alice)[0].why == "It was measured."
    newer = adapter_of(alice, seed=1)
    found = serving_of_person(workspace=alice.workspace, end_user=alice)[0]
    assert (found.adapter, found.why) == (newer, "It was trained after the last choice.")
    chosen(alice, newer)
    withdraw_adapter(adapter=newer)
    found = serving_of_person(workspace=alice.workspace, end_user=alice)[0]
    assert (found.adapter, found.why) == (None, "The adapter that was chosen is no longer usable.")


# -- choosing


def test_a_choice_is_kept_with_who_made_it_and_why(alice):
    older = adapter_of(alice)
    adapter_of(alice, seed=1)
    choice = choose(alice, older, api_key_id=7)
    assert (choice.by, choice.api_key_id, choice.reason, choice.better_than_none) == (
        "person",
        7,
        "It was better.",
        None,
    )
    assert serving(alice).adapter == older
    entry = AuditEntry.objects.get(action="serving.chosen")
    assert (entry.end_user, entry.subject) == (alice, str(choice.pk))
    assert entry.details == {"task": TWEETS, "base_model": a_base_model().pk, "adapter": older.pk}


def test_what_was_measured_of_an_adapter_stays_known_when_it_is_chosen_again(alice):
    older = adapter_of(alice)
    chosen(alice, older, better_than_none=True)
    chosen(alice, adapter_of(alice, seed=1), better_than_none=False)
    assert choose(alice, older).better_than_none is True


def test_to_roll_back_is_to_choose_what_served_before(alice):
    assert before(alice) is None
    older, newer = adapter_of(alice), adapter_of(alice, seed=1)
    chosen(alice, older)
    chosen(alice, newer)
    assert before(alice) == Before(older)
    choose(alice, older)
    assert before(alice) == Before(newer)


def test_what_a_retraining_replaced_is_what_served_before_it(alice):
    older = adapter_of(alice)
    retraining = a_retraining(alice, a_base_model())
    retraining.old_adapter = older
    retraining.save()
    choice = chosen(alice, adapter_of(alice, seed=1))
    ServingChoice.objects.filter(pk=choice.pk).update(retraining=retraining)
    assert before(alice) == Before(older)
    withdraw_adapter(adapter=older)
    assert before(alice) is None


def test_that_none_served_can_be_gone_back_to_as_well(alice):
    chosen(alice, None)
    chosen(alice, adapter_of(alice))
    assert before(alice) == Before(None)


def test_an_adapter_of_somebody_else_withdrawn_or_of_another_version_of_the_task_is_refused(alice, bob):
    withdrawn, old = adapter_of(alice), adapter_of(alice, seed=1)
    withdraw_adapter(adapter=withdrawn)
    Adapter.objects.filter(pk=old.pk).update(task_version="v0")
    for adapter in (adapter_of(bob), withdrawn, old):
        with pytest.raises(ChoiceRefused):
            choose(alice, adapter)
    assert not ServingChoice.objects.exists()


def test_a_choice_ends_the_retraining_that_is_under_way(alice, settings):
    one = a_retraining(alice, a_base_model())
    steps.begin(retraining_id=one.pk)
    job = Job.objects.get(origin=f"retraining:{one.pk}")
    choose(alice, None)
    one.refresh_from_db()
    job.refresh_from_db()
    assert (one.state, one.reason) == ("cancelled", "Somebody chose what serves this user while it ran.")
    assert job.state == "cancelled"
    assert serving(alice).none_was_chosen
