"""Retrainings from their turn to their end, with the small model, real trainings and real answers."""

import threading

import pytest
from django.db import connection, transaction
from django.utils import timezone

from common.objects import get_store
from jobs.models import Job
from jobs.services import cancel
from tests.eval_app.stored import small_t5
from tests.people import TWEETS, give, person, tweets_of
from tests.training_app.retraining.retrainings import a_policy, a_retraining
from training_app.adapters import plan_adapter, request_adapters
from training_app.hyperparameters import complete_hyperparameters
from training_app.models import Adapter, Generation, Retraining, RetrainingPolicy, ServingChoice
from training_app.retraining import steps, sweeps
from training_app.serving_selectors import Serving, serving_now
from users_app.erasure import erase_document
from users_app.services import remove_document
from users_app.tasks import task_of

pytestmark = pytest.mark.django_db(transaction=True)

BEGINNINGS = ("monday", "tuesday", "sunday", "friday", "winter", "summer")
SMALL = {"batch_size": 16, "max_input_tokens": 64, "max_output_tokens": 32}
# Learns how all of Rosa's tweets go on; answers worse than the base model; answers as the base model.
GOOD = {**SMALL, "epochs": 30, "learning_rate": 1e-2}
HARMFUL = {**SMALL, "epochs": 8, "learning_rate": 0.3}
IDLE = {**SMALL, "epochs": 1, "learning_rate": 1e-8}


def tweet(beginning, day=1):
    text = f"{beginning} the rain is falling on my garden roses and the bees are gone"
    return {"text": text, "date": f"2019-01-{day:02}"}


@pytest.fixture
def rosa(workspace):
    return person(workspace, "rosa", [tweet(word, day) for day, word in enumerate(BEGINNINGS, start=1)])


@pytest.fixture
def train(in_process):
    """Train an adapter as a client would ask for it."""

    def train(end_user, documents=None, *, seed=0, exact=False, **hyperparameters):
        plan = plan_adapter(
            workspace=end_user.workspace,
            end_user_id=end_user.pk,
            task=TWEETS,
            base_model=small_t5(),
            dtype="float32",
            exact=exact,
            stored_dtype="float32" if exact else "bfloat16",
            hyperparameters=complete_hyperparameters({**hyperparameters, "rank": 8}),
            seed=seed,
            documents=[(one.pk, bytes(one.digest).hex()) for one in documents or tweets_of(end_user)],
        )
        request_adapters(plans=[plan])
        in_process("train_adapter")
        return Adapter.objects.get(identity=plan.identity)

    return train


@pytest.fixture
def retrain(in_process):
    """Let a retraining run to its end; its row."""

    def retrain(end_user, hyperparameters, **told):
        one = begun(end_user, hyperparameters, **told)
        in_process("train_adapter", "generate")
        return again(one)

    return retrain


def begun(end_user, hyperparameters=GOOD, **told):
    one = a_retraining(end_user, small_t5(), hyperparameters=hyperparameters, **told)
    steps.begin(retraining_id=one.pk)
    return again(one)


def again(one):
    return Retraining.objects.select_related("old_adapter", "new_adapter", "trial_adapter").get(pk=one.pk)


def serving(end_user):
    with transaction.atomic():
        return serving_now(
            workspace=end_user.workspace,
            end_user=end_user,
            task=TWEETS,
            task_version=task_of(workspace=end_user.workspace, key=TWEETS).version,
            base_model=small_t5(),
        )


def nothing_is_left(one):
    """No trial, no question, no job under way, and no file that nobody stands for."""
    assert not Adapter.objects.filter(is_trial=True).exists()
    assert not Generation.objects.exists()
    assert not Job.objects.filter(state__in=["waiting", "running"]).exists()
    stored = {info.key.rpartition("/")[0] + "/" for info in get_store().list("adapters/")}
    assert stored >= set(Adapter.objects.filter(withdrawn_at=None).values_list("object_prefix", flat=True))
    return True


# -- the outcomes


def test_a_trial_that_wins_is_followed_by_an_adapter_of_the_whole_profile_which_serves(rosa, retrain):
    ended = retrain(rosa, GOOD)
    assert ended.state == "promoted"
    assert ended.new_adapter.document_ids == [document.pk for document in tweets_of(rosa)]
    assert ended.held_out_ids == [tweets_of(rosa)[-1].pk]
    assert set(ended.scores) == {"trial", "none"}
    assert ended.reason.startswith("rouge-1 on the newest 1 document, held out: the trial 0.")
    assert ended.training_seconds > ended.new_adapter.training_seconds > 0
    assert ended.started_at <= ended.finished_at
    choice = ServingChoice.objects.get()
    assert (choice.adapter, choice.by, choice.retraining, choice.better_than_none) == (
        ended.new_adapter,
        "retraining",
        ended,
        True,
    )
    assert choice.reason == ended.reason
    assert serving(rosa) == Serving(ended.new_adapter, True)
    assert nothing_is_left(ended)


def test_a_trial_that_is_worse_than_the_old_adapter_leaves_it_serving(rosa, train, retrain):
    old = train(rosa, **GOOD)
    give(rosa, [tweet("autumn", 20)])
    ended = retrain(rosa, IDLE)
    assert (ended.state, ended.old_adapter, ended.new_adapter) == ("kept", old, None)
    assert ended.scores["old"] > ended.scores["none"]
    assert ServingChoice.objects.get().adapter == old
    assert serving(rosa) == Serving(old, True)
    assert list(Adapter.objects.all()) == [old]
    assert nothing_is_left(ended)


def test_where_both_are_worse_than_none_no_adapter_serves_though_one_stands(rosa, train, retrain):
    old = train(rosa, **HARMFUL)
    give(rosa, [tweet("autumn", 20)])
    ended = retrain(rosa, {**HARMFUL, "epochs": 9})
    assert (ended.state, ended.new_adapter) == ("none", None)
    assert ServingChoice.objects.get().serves_none
    assert serving(rosa) == Serving(None, False, none_was_chosen=True)
    assert list(Adapter.objects.filter(withdrawn_at=None)) == [old]
    assert nothing_is_left(ended)


def test_the_old_adapter_is_measured_on_documents_that_it_has_not_learned_from(rosa, train, retrain):
    train(rosa, **GOOD)
    new = give(rosa, [tweet("long ago")])
    assert retrain(rosa, IDLE, held_out_share=0.5).held_out_ids == [new[0].pk]


def test_where_it_knows_them_all_the_reason_says_so(rosa, train, retrain):
    train(rosa, **GOOD)
    ended = retrain(rosa, IDLE)
    assert ended.reason.endswith("The old adapter has learned from 1 of them.")


def test_an_adapter_that_has_learned_what_the_trial_would_is_the_trial_and_stays(rosa, train, retrain):
    old = train(rosa, **GOOD)
    give(rosa, [tweet("autumn", 20)])
    trainings = Job.objects.filter(kind="train_adapter").count()
    ended = retrain(rosa, GOOD)
    assert (ended.state, ended.scores["trial"]) == ("promoted", ended.scores["old"])
    assert Job.objects.filter(kind="train_adapter").count() == trainings + 1
    assert Adapter.objects.filter(pk=old.pk).exists()
    assert serving(rosa).adapter == ended.new_adapter


def test_nothing_is_trained_where_the_adapter_that_serves_is_of_just_this_profile(rosa, train, retrain):
    old = train(rosa, **GOOD)
    trainings = Job.objects.filter(kind="train_adapter").count()
    ended = retrain(rosa, GOOD)
    assert (ended.state, ended.old_adapter) == ("kept", old)
    assert not ServingChoice.objects.exists()
    assert Job.objects.filter(kind="train_adapter").count() == trainings


# -- documents that left the profile


def test_an_adapter_that_has_learned_from_a_removed_document_may_not_stay(rosa, train, retrain):
    old = train(rosa, **GOOD)
    remove_document(workspace=rosa.workspace, end_user=rosa, task=TWEETS, client_id="rosa-0")
    ended = retrain(rosa, IDLE)
    assert "old" not in ended.scores
    assert ended.state == "promoted"
    assert tweets_of(rosa)[0].pk not in ended.new_adapter.document_ids
    assert ended.reason.endswith("it has learned from documents that have left the profile.")
    assert serving(rosa).adapter not in (None, old)


def test_in_exact_mode_the_bytes_are_those_of_a_training_that_never_saw_it(rosa, train, retrain, workspace):
    train(rosa, **GOOD, exact=True)
    erase_document(workspace=workspace, end_user=rosa, task=TWEETS, client_id="rosa-2")
    assert Job.objects.filter(state="waiting", kind="train_adapter").update(
        state="cancelled", finished_at=timezone.now()
    )
    ended = retrain(rosa, GOOD, exact=True)
    assert ended.state == "promoted"
    digest, learned = ended.new_adapter.content_digest, ended.new_adapter.document_ids
    Adapter.objects.all().delete()
    assert (
        train(rosa, [one for one in tweets_of(rosa) if one.pk in learned], **GOOD, exact=True).content_digest == digest
    )


def test_too_small_a_profile_loses_the_adapter_that_has_learned_from_what_was_removed(rosa, train, retrain):
    train(rosa, **GOOD)
    remove_document(workspace=rosa.workspace, end_user=rosa, task=TWEETS, client_id="rosa-0")
    ended = retrain(rosa, GOOD, minimum_documents=6)
    assert (ended.state, ended.scores) == ("none", {})
    assert ended.reason.startswith("The profile has 5 documents, too few to train on (from 6 on).")
    assert serving(rosa) == Serving(None, None, none_was_chosen=True)


def test_too_small_a_profile_keeps_an_adapter_of_documents_that_stand(rosa, train, retrain):
    old = train(rosa, **GOOD)
    ended = retrain(rosa, GOOD, minimum_documents=7)
    assert (ended.state, serving(rosa)) == ("kept", Serving(old))


def test_an_empty_profile_ends_at_once(workspace, retrain):
    ended = retrain(person(workspace, "newcomer"), GOOD)
    assert (ended.state, ended.finished_at is None) == ("none", False)
    assert not ServingChoice.objects.exists()


def test_one_that_leaves_while_the_trial_is_trained_lets_it_start_over(rosa, in_process):
    one = begun(rosa)
    remove_document(workspace=rosa.workspace, end_user=rosa, task=TWEETS, client_id="rosa-1")
    in_process("train_adapter", "generate")
    ended = again(one)
    assert ended.state == "promoted"
    assert tweets_of(rosa)[1].pk not in ended.new_adapter.document_ids
    assert nothing_is_left(ended)


def test_one_that_is_erased_while_it_is_measured_takes_the_question_with_it(rosa, in_process):
    one = begun(rosa)
    in_process("train_adapter")
    assert again(one).state == "measuring"
    held_out = again(one).held_out_ids[0]
    erase_document(workspace=rosa.workspace, end_user=rosa, task=TWEETS, client_id="rosa-5")
    assert not Generation.objects.filter(profile_document_ids__contains=[held_out]).exists()
    in_process("generate", "train_adapter")
    steps.advance_stalled()
    in_process("train_adapter", "generate")
    ended = again(one)
    assert ended.state == "promoted"
    assert held_out not in ended.new_adapter.document_ids
    steps.forget_forsaken()
    assert nothing_is_left(ended)


@pytest.mark.parametrize("leave", [remove_document, erase_document], ids=["removed", "erased"])
def test_one_that_leaves_while_the_final_adapter_is_trained_is_in_no_adapter(rosa, in_process, leave):
    one = begun(rosa)
    in_process_until(one, "training", in_process)
    gone = tweets_of(rosa)[3].pk
    leave(workspace=rosa.workspace, end_user=rosa, task=TWEETS, client_id="rosa-3")
    in_process("train_adapter")
    steps.advance_stalled()
    in_process("train_adapter")
    ended = again(one)
    assert ended.state == "promoted"
    standing = Adapter.objects.filter(withdrawn_at=None)
    assert all(gone not in adapter.document_ids for adapter in standing)
    assert serving(rosa).adapter == ended.new_adapter
    assert nothing_is_left(ended)


def test_documents_that_come_meanwhile_are_learned_from(rosa, in_process):
    one = begun(rosa)
    late = give(rosa, [tweet("autumn", 20)])
    in_process("train_adapter", "generate")
    assert again(one).new_adapter.document_ids[-1] == late[0].pk


def test_a_policy_that_is_changed_meanwhile_is_so_for_the_next_sweep(rosa):
    policy = a_policy(rosa, small_t5(), hyperparameters=GOOD, seed=5)
    with transaction.atomic():
        sweep = sweeps.start_sweep(policy=policy)
        # Before the first retraining begins, which it does with the commit.
        RetrainingPolicy.objects.update(seed=6, minimum_documents=100, hyperparameters={}, held_out_share=0.9)
    one = again(sweep.retrainings.get())
    assert one.state == "trial"
    assert one.settings["seed"] == 5
    assert one.settings["hyperparameters"]["epochs"] == GOOD["epochs"]
    assert len(one.held_out_ids) == 1


# -- what goes wrong


def in_process_until(one, state, in_process):
    """Work until the retraining is in this state."""
    for _ in range(4):
        for kind in ("train_adapter", "generate"):
            if again(one).state == state:
                return
            in_process_once(kind)
    assert again(one).state == state


def in_process_once(kind):
    from jobs import kinds
    from jobs.runner import claim_batch, run_batch

    batch = claim_batch(kinds.get(kind))
    if batch:
        run_batch(batch)


def test_a_training_that_fails_for_good_fails_it_and_the_old_adapter_serves_on(rosa, train, in_process):
    old = train(rosa, **GOOD)
    give(rosa, [tweet("autumn", 20)])
    one = begun(rosa, IDLE)
    job = Job.objects.latest("pk")
    Job.objects.filter(pk=job.pk).update(payload={**job.payload, "seed": 1})
    in_process("train_adapter")
    ended = again(one)
    assert ended.state == "failed"
    assert ended.reason.startswith(f"job {job.pk}: This worker's task catalogue or engine is not the one")
    assert serving(rosa) == Serving(old)
    assert nothing_is_left(ended)


def test_a_cancelled_job_cancels_it(rosa):
    one = begun(rosa)
    cancel(Job.objects.get().pk)
    ended = again(one)
    assert (ended.state, ended.reason) == ("cancelled", f"job {Job.objects.get().pk} was cancelled.")
    assert nothing_is_left(ended)


def test_a_quota_that_is_used_up_fails_it_with_nothing_asked_for(rosa, workspace):
    workspace.quota_adapters = 0
    workspace.save()
    ended = begun(rosa)
    assert ended.state == "failed"
    assert "adapters" in ended.reason
    assert not Job.objects.exists()


def test_with_room_for_one_more_adapter_the_trial_makes_room_for_the_new_one(rosa, retrain, workspace):
    workspace.quota_adapters = 1
    workspace.save()
    assert retrain(rosa, GOOD).state == "promoted"


def test_adapters_before_those_that_are_kept_go_when_a_new_one_serves(rosa, retrain):
    first, second = (retrain(rosa, GOOD, seed=seed, adapters_kept=1) for seed in (0, 1))
    give(rosa, [tweet("autumn", 20)])
    third = retrain(rosa, GOOD, seed=2, adapters_kept=1)
    assert [one.state for one in (first, second, third)] == ["promoted"] * 3
    assert set(Adapter.objects.all()) == {second.new_adapter, third.new_adapter}
    assert serving(rosa).adapter == third.new_adapter
    assert nothing_is_left(third)


def test_what_a_lost_process_owed_the_sweep_does(rosa, in_process, monkeypatch):
    monkeypatch.setattr("jobs.origins.tell", lambda origins: None)
    one = begun(rosa)
    for state, kind in [("trial", "train_adapter"), ("measuring", "generate"), ("training", "train_adapter")]:
        assert again(one).state == state
        in_process(kind)
        assert again(one).state == state
        steps.advance_stalled()
        steps.advance_stalled()
    ended = again(one)
    assert ended.state == "promoted"
    assert ServingChoice.objects.count() == 1
    assert nothing_is_left(ended)


def test_jobs_and_answers_that_are_gone_are_asked_for_again(rosa, in_process):
    one = begun(rosa)
    Job.objects.all().delete()
    steps.advance_stalled()
    in_process("train_adapter")
    assert again(one).state == "measuring"
    Job.objects.all().delete()
    Generation.objects.all().delete()
    steps.advance_stalled()
    in_process("generate")
    assert again(one).state == "training"
    Job.objects.all().delete()
    steps.advance_stalled()
    in_process("train_adapter")
    assert again(one).state == "promoted"


def test_a_policy_that_is_deleted_leaves_neither_trial_nor_question(rosa, in_process):
    one = begun(rosa)
    in_process("train_adapter")
    one.sweep.policy.delete()
    steps.forget_forsaken()
    in_process("generate")
    assert nothing_is_left(one)


def test_somebody_who_is_gone_meanwhile_is_no_error(rosa, in_process):
    one = begun(rosa)
    in_process("train_adapter")
    rosa.delete()
    in_process("generate")
    steps.advance(retraining_id=one.pk)
    steps.begin(retraining_id=one.pk)
    assert not Retraining.objects.exists()
    assert not Adapter.objects.exists()


def test_whoever_is_told_hears_of_each_end_once(rosa, retrain, monkeypatch):
    heard, considered = [], []
    monkeypatch.setattr(steps, "_on_end", [lambda **told: heard.append(told)])
    monkeypatch.setattr(steps, "note_learned", lambda **told: considered.append(told))
    ended = retrain(rosa, HARMFUL)
    steps.advance(retraining_id=ended.pk)
    assert ended.state == "none"
    assert heard == [{"sweep_id": ended.sweep_id}]
    assert [(one["end_user"], one["document_ids"]) for one in considered] == [
        (rosa, [document.pk for document in tweets_of(rosa)])
    ]


def test_many_who_take_it_further_at_once_take_one_step(rosa, in_process, monkeypatch):
    monkeypatch.setattr("jobs.origins.tell", lambda origins: None)
    one = begun(rosa)
    in_process("train_adapter")

    def advance():
        steps.advance(retraining_id=one.pk)
        connection.close()

    threads = [threading.Thread(target=advance) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Generation.objects.count() == 2
    assert again(one).state == "measuring"
