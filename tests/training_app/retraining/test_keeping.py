"""How many adapters stay to roll back to."""

import pytest

from tests.people import tweets_of
from tests.training_app.adapters import a_base_model, facts, plan_of
from tests.training_app.retraining.retrainings import a_retraining
from training_app.adapters import record_adapter
from training_app.models import Adapter, Generation, Retraining
from training_app.retraining.keeping import delete_surpassed


@pytest.fixture
def base_model(db):
    return a_base_model()


def adapter_of(end_user, seed):
    return record_adapter(
        end_user=end_user, plan=plan_of(end_user, tweets_of(end_user), seed=seed), facts=facts(f"c{seed}")
    )


@pytest.fixture
def promoted(base_model):
    """A retraining that made an adapter, and stands so."""

    def promoted(end_user, *, seed, old=None):
        one = a_retraining(end_user, base_model)
        Retraining.objects.filter(pk=one.pk).update(
            new_adapter=adapter_of(end_user, seed),
            old_adapter=old,
            state="promoted",
            reason="It won.",
            finished_at="2026-01-01T00:00Z",
        )
        return Retraining.objects.get(pk=one.pk)

    return promoted


def standing():
    return list(Adapter.objects.order_by("pk").values_list("pk", flat=True))


def test_the_newest_stay_beside_the_one_that_is_promoted(alice, promoted):
    made = [promoted(alice, seed=seed) for seed in range(5)]
    delete_surpassed(made[-1], promoted=made[-1].new_adapter, keep=2)
    assert standing() == [one.new_adapter_id for one in made[2:]]


def test_what_served_until_now_stays_however_old_it_is(alice, promoted):
    first, *between = [promoted(alice, seed=seed) for seed in range(4)]
    last = promoted(alice, seed=9, old=first.new_adapter)
    delete_surpassed(last, promoted=last.new_adapter, keep=2)
    assert standing() == [first.new_adapter_id, between[-1].new_adapter_id, last.new_adapter_id]


def test_what_somebody_asked_for_and_what_is_of_others_stays(alice, bob, promoted):
    asked, others = adapter_of(alice, seed=7), promoted(bob, seed=0)
    made = [promoted(alice, seed=seed) for seed in range(3)]
    delete_surpassed(made[-1], promoted=made[-1].new_adapter, keep=1)
    assert standing() == [asked.pk, others.new_adapter_id, made[1].new_adapter_id, made[2].new_adapter_id]


def test_one_that_an_output_is_being_made_with_stays_until_the_next(alice, promoted, base_model):
    made = [promoted(alice, seed=seed) for seed in range(3)]
    Generation.objects.create(
        end_user=alice,
        task="LaMP-7",
        base_model=base_model,
        family="peft",
        adapter=made[0].new_adapter,
        parameters={},
        input="?",
        profile_document_ids=[],
    )
    delete_surpassed(made[-1], promoted=made[-1].new_adapter, keep=1)
    assert standing() == [one.new_adapter_id for one in made]
    Generation.objects.all().delete()
    delete_surpassed(made[-1], promoted=made[-1].new_adapter, keep=1)
    assert standing() == [one.new_adapter_id for one in made[1:]]
