import pytest
from django.db import IntegrityError, transaction

from jobs.models import Job
from tests.people import give, tweets_of
from tests.training_app.adapters import a_base_model, facts, plan_of
from training_app.adapters import adapters_by_identity, ensure_base_model, record_adapter, request_adapters
from training_app.models import Adapter


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
        "base_model_id": a_base_model().pk,
        "dtype": "float32",
        "hyperparameters": {"rank": 8, "epochs": 1},
        "seed": 0,
        "document_ids": [document.pk for document in tweets_of(alice)],
        "identity": plan.identity,
    }
    assert (job.workspace_id, job.end_user_id, job.origin) == (alice.workspace_id, alice.pk, "run:1")


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


@pytest.mark.parametrize(
    ("changed", "constraint"),
    [
        ({"rank": 0}, "adapter_rank_in_range"),
        ({"rank": 257}, "adapter_rank_in_range"),
        ({"size_bytes": 0}, "adapter_is_not_empty"),
        ({"document_ids": []}, "adapter_saw_documents"),
    ],
)
def test_the_database_refuses_an_adapter_that_cannot_be(alice, changed, constraint):
    stored = record_adapter(end_user=alice, plan=plan_of(alice, tweets_of(alice)), facts=facts())
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Adapter.objects.filter(pk=stored.pk).update(**changed)
