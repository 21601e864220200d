from dataclasses import replace

import pytest
from django.db import IntegrityError, transaction

from jobs.models import Job
from tests.people import give, tweets_of
from tests.training_app.adapters import a_base_model, facts, plan_of
from training_app.adapters import (
    SourcesGone,
    adapters_by_identity,
    ensure_base_model,
    plan_adapter,
    record_adapter,
    request_adapters,
    stored_dtype_of,
)
from training_app.models import Adapter
from users_app.models import EndUser
from users_app.services import remove_document


def jobs():
    return Job.objects.filter(kind="train_adapter").order_by("pk")


def test_a_base_model_is_recorded_once_a_revision(db):
    assert a_base_model() == a_base_model()
    assert ensure_base_model(name="some/t5", revision="2") != a_base_model()


def test_a_plan_names_the_documents_in_training_order(alice):
    first, second, *_ = tweets_of(alice)
    plan = plan_of(alice, [second, first, second])
    assert plan.document_ids == (second.pk, first.pk, second.pk)
    assert plan.identity != plan_of(alice, [first, second, second]).identity


def test_equal_documents_of_two_people_make_two_adapters(alice, bob):
    [mine], [theirs] = (give(user, [{"text": "the same words"}]) for user in (alice, bob))
    assert plan_of(alice, [mine]).document_digests == plan_of(bob, [theirs]).document_digests
    assert plan_of(alice, [mine]).identity != plan_of(bob, [theirs]).identity


def test_a_job_holds_ids_and_settings_and_no_text(alice):
    plan = plan_of(alice, tweets_of(alice))
    request_adapters(plans=[plan], origin="run:1")
    job = jobs().get()
    assert job.payload == {
        "task": "LaMP-7",
        "task_version": plan.task_version,
        "base_model_id": a_base_model().pk,
        "dtype": "float32",
        "exact": False,
        "stored_dtype": "float32",
        "hyperparameters": {"rank": 8, "epochs": 1},
        "seed": 0,
        "document_ids": [document.pk for document in tweets_of(alice)],
        "identity": plan.identity,
        "is_trial": False,
        "only_live": False,
        "batch": f"{a_base_model().pk}|float32|rank=8",
    }
    assert (job.workspace_id, job.end_user_id, job.origin) == (alice.workspace_id, alice.pk, "run:1")


def test_ranks_of_one_class_share_a_pass_and_an_exact_adapter_shares_with_none(alice, bob):
    mine, theirs = tweets_of(alice), tweets_of(bob)
    assert plan_of(alice, mine, rank=2).batch_key == plan_of(bob, theirs, rank=8).batch_key
    assert plan_of(alice, mine, rank=9).batch_key == plan_of(bob, theirs, rank=16).batch_key
    assert plan_of(alice, mine, rank=8).batch_key != plan_of(bob, theirs, rank=16).batch_key
    keys = {plan_of(user, own, exact=exact).batch_key for user, own in ((alice, mine), (bob, theirs))
            for exact in (False, True)}  # fmt: skip
    assert len(keys) == 3


def test_an_exact_adapter_is_stored_in_float32_whatever_the_installation_says(settings, alice):
    settings.ADAPTER_DTYPE = "bfloat16"
    assert (stored_dtype_of(exact=False), stored_dtype_of(exact=True)) == ("bfloat16", "float32")
    with pytest.raises(ValueError, match="float32"):
        plan_of(alice, tweets_of(alice), exact=True, stored_dtype="bfloat16")


def test_an_adapter_on_its_way_is_not_asked_for_again(alice, bob):
    mine, theirs = plan_of(alice, tweets_of(alice)), plan_of(bob, tweets_of(bob))
    assert request_adapters(plans=[mine]) == 1
    assert request_adapters(plans=[mine, theirs, theirs]) == 1
    assert [job.end_user_id for job in jobs()] == [alice.pk, bob.pk]


def test_the_same_inputs_find_the_adapter_that_stands(alice):
    plan = plan_of(alice, tweets_of(alice))
    first = record_adapter(end_user=alice, plan=plan, facts=facts("c1"))
    again = record_adapter(end_user=alice, plan=plan, facts=facts("c2"))
    assert again == first
    assert Adapter.objects.get().content_digest == "c1"


def test_an_adapter_keeps_what_made_it(alice):
    plan = plan_of(alice, tweets_of(alice), seed=5)
    stored = record_adapter(end_user=alice, plan=plan, facts=facts())
    stored.refresh_from_db()
    assert stored.document_ids == [document.pk for document in tweets_of(alice)]
    assert stored.document_digests == [bytes(document.digest).hex() for document in tweets_of(alice)]
    assert (stored.rank, stored.seed, stored.base_model, stored.loss_curve) == (8, 5, a_base_model(), [2.0, 1.0])


def test_adapters_are_found_within_their_workspace_alone(alice, mallory):
    plan = plan_of(alice, tweets_of(alice))
    stored = record_adapter(end_user=alice, plan=plan, facts=facts())
    assert adapters_by_identity(workspace=alice.workspace, identities=[plan.identity]) == {plan.identity: stored.pk}
    assert adapters_by_identity(workspace=mallory.workspace, identities=[plan.identity]) == {}


def test_nothing_is_recorded_of_a_document_that_has_gone_meanwhile(alice):
    documents = tweets_of(alice)
    plan = plan_of(alice, documents)
    documents[2].profile_entries.all().delete()
    documents[2].delete()
    with pytest.raises(SourcesGone):
        record_adapter(end_user=alice, plan=plan, facts=facts())
    assert not Adapter.objects.exists()


def test_nothing_is_recorded_of_an_end_user_who_has_gone_meanwhile(alice):
    plan = plan_of(alice, tweets_of(alice))
    EndUser.objects.filter(pk=alice.pk).delete()
    with pytest.raises(SourcesGone):
        record_adapter(end_user=alice, plan=plan, facts=facts())


@pytest.mark.parametrize(
    ("changed", "constraint"),
    [
        ({"rank": 0}, "adapter_rank_in_range"),
        ({"rank": 257}, "adapter_rank_in_range"),
        ({"size_bytes": 0}, "adapter_is_not_empty"),
        ({"document_ids": []}, "adapter_saw_documents"),
        ({"stored_dtype": "float16"}, "adapter_stored_dtype_is_known"),
        ({"stored_dtype": "bfloat16", "exact": True}, "adapter_stored_dtype_is_known"),
    ],
)
def test_the_database_refuses_an_adapter_that_cannot_be(alice, changed, constraint):
    stored = record_adapter(end_user=alice, plan=plan_of(alice, tweets_of(alice)), facts=facts())
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Adapter.objects.filter(pk=stored.pk).update(**changed)


def test_one_of_live_documents_alone_is_not_recorded_after_one_of_them_has_left_the_profile(alice):
    live, kept = plan_of(alice, tweets_of(alice)), plan_of(alice, tweets_of(alice), seed=1)
    remove_document(workspace=alice.workspace, end_user=alice, task="LaMP-7", client_id="alice-0")
    with pytest.raises(SourcesGone, match="has left the profile"):
        record_adapter(end_user=alice, plan=replace(live, only_live=True), facts=facts())
    # A run's snapshot still has it.
    assert record_adapter(end_user=alice, plan=kept, facts=facts())


def test_a_trial_is_recorded_as_one_under_a_name_of_its_own(alice):
    documents = [(document.pk, bytes(document.digest).hex()) for document in tweets_of(alice)]
    real = plan_of(alice, tweets_of(alice))
    trial = plan_adapter(
        **{name: getattr(real, name) for name in ("end_user_id", "task", "dtype", "exact", "stored_dtype", "seed")},
        workspace=alice.workspace,
        base_model=a_base_model(),
        hyperparameters=real.hyperparameters,
        documents=documents,
        is_trial=True,
    )
    assert trial.identity != real.identity
    assert record_adapter(end_user=alice, plan=trial, facts=facts()).is_trial
    assert not record_adapter(end_user=alice, plan=real, facts=facts()).is_trial
