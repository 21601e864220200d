import pytest

from jobs.models import Job
from tests.people import give, tweets_of
from tests.training_app.adapters import a_base_model, facts
from training_app.adapter_requests import NothingToLearnFrom, find_or_request_adapter, plan_from_profile
from training_app.adapters import record_adapter, withdraw_adapter
from training_app.hyperparameters import InvalidHyperparameters
from users_app.models import EndUser
from users_app.services import remove_document


def plan(end_user, **chosen):
    options = {name: chosen.pop(name) for name in ("seed", "exact", "task") if name in chosen}
    return plan_from_profile(
        workspace=end_user.workspace,
        end_user=end_user,
        base_model=a_base_model(),
        hyperparameters=chosen,
        **{"task": "LaMP-7", **options},
    )


def ask(end_user, **chosen):
    return find_or_request_adapter(workspace=end_user.workspace, plan=plan(end_user, **chosen))


def test_an_adapter_learns_from_the_live_profile_in_its_order(alice):
    remove_document(workspace=alice.workspace, end_user=alice, task="LaMP-7", client_id="alice-1")
    give(alice, [{"text": "one more"}, {"text": "one more"}])
    first, removed, *rest = tweets_of(alice)
    assert plan(alice).document_ids == (first.pk, *(document.pk for document in rest), rest[-1].pk)
    assert removed.pk not in plan(alice).document_ids


def test_hyperparameters_left_out_are_the_paper_s(alice):
    assert plan(alice, epochs=2).hyperparameters["epochs"] == 2
    assert plan(alice, epochs=2).hyperparameters["learning_rate"] == 5e-4


def test_what_is_out_of_bounds_is_refused(alice):
    with pytest.raises(InvalidHyperparameters):
        plan(alice, rank=257)


def test_an_empty_profile_teaches_nothing(alice):
    with pytest.raises(NothingToLearnFrom):
        plan(alice, task="LaMP-4")


def test_the_same_request_finds_the_job_under_way(alice):
    first, again = ask(alice), ask(alice)
    assert first.adapter is None
    assert first.job == again.job
    assert Job.objects.count() == 1


def test_the_same_request_finds_the_adapter_that_stands(alice):
    stored = record_adapter(end_user=alice, plan=plan(alice), facts=facts())
    assert ask(alice) == (stored, None)
    assert not Job.objects.exists()


@pytest.mark.parametrize("other", [{"rank": 4}, {"seed": 1}, {"exact": True}, {"epochs": 3}])
def test_another_choice_is_another_adapter(alice, other):
    record_adapter(end_user=alice, plan=plan(alice), facts=facts())
    assert ask(alice, **other).job is not None


def test_a_changed_profile_makes_another_adapter(alice):
    record_adapter(end_user=alice, plan=plan(alice), facts=facts())
    give(alice, [{"text": "one more"}])
    assert ask(alice).job is not None


def test_a_withdrawn_adapter_is_made_anew(alice):
    stored = record_adapter(end_user=alice, plan=plan(alice), facts=facts())
    withdraw_adapter(adapter=stored)
    assert ask(alice).job is not None


def test_somebody_who_was_erased_meanwhile_is_not_there(alice):
    EndUser.objects.filter(pk=alice.pk).delete()
    with pytest.raises(EndUser.DoesNotExist):
        plan(alice)
