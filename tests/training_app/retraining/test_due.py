"""Who is due for retraining, and why."""

import secrets
from datetime import timedelta
from importlib import import_module

import pytest
from django.db import connection
from django.utils import timezone

from jobs.models import Job
from tests import people
from tests.lamp.own_tasks import REPLIES
from tests.people import TWEETS, give, tweets_of
from tests.training_app.adapters import a_base_model, facts, plan_of
from tests.training_app.retraining.policies import a_policy, trained
from training_app.adapter_deletion import delete_adapter
from training_app.adapters import record_adapter, request_adapter, withdraw_adapter
from training_app.models import Adapter, LearnedProfile, Retraining, RetrainingPolicy, RetrainingSweep
from training_app.retraining.due import who_is_due
from training_app.retraining.learned import note_learned
from users_app.erasure import erase_document, erase_end_user
from users_app.models import Document
from users_app.services import put_document, remove_document
from users_app.tasks import define_task, task_of


def reasons(policy, **told):
    return {one.external_id: one.reasons for one in who_is_due(policy=policy, **told)}


def order(policy):
    return [one.external_id for one in who_is_due(policy=policy)]


def write(end_user, number=1, *, task=TWEETS):
    give(end_user, [{"text": secrets.token_hex(8)} for _ in range(number)], task=task)


def remove(end_user, *numbers):
    for number in numbers:
        told = {"task": TWEETS, "client_id": f"{end_user.external_id}-{number}"}
        assert remove_document(workspace=end_user.workspace, end_user=end_user, **told)


def learned(end_user):
    return LearnedProfile.objects.filter(end_user=end_user).values_list("added", "removed", "documents").first()


@pytest.fixture
def policy(workspace):
    return a_policy(workspace)


class TestWhoeverHasNoAdapter:
    def test_is_due_from_the_minimum_on(self, policy, alice, bob):
        policy.minimum_documents = 5
        assert reasons(policy) == {"alice": {"first": True}}
        write(bob)
        assert reasons(policy) == {"alice": {"first": True}, "bob": {"first": True}}

    def test_of_this_rank_is_due_whatever_adapters_of_other_ranks_there_are(self, policy, alice):
        trained(alice, rank=4)
        assert reasons(policy) == {"alice": {"first": True}}

    def test_of_this_base_model_is_due(self, policy, alice):
        trained(alice)
        assert reasons(policy) == {}
        policy.base_model.pk = policy.base_model_id = policy.base_model_id + 1
        assert reasons(policy) == {"alice": {"first": True}}


class TestWhoeverHasOne:
    def test_is_not_due_while_the_profile_stays(self, policy, alice):
        trained(alice)
        assert reasons(policy) == {}

    def test_is_due_after_so_many_new_documents(self, policy, alice):
        trained(alice)
        write(alice)
        assert reasons(policy) == {}
        write(alice)
        assert reasons(policy) == {"alice": {"new": 2}}
        [due] = who_is_due(policy=policy)
        assert (due.end_user_id, due.new, due.removed) == (alice.pk, 2, 0)

    def test_is_due_after_a_share_of_what_was_learned_is_new(self, workspace, alice):
        policy = a_policy(workspace, new_documents=None, new_share=0.4)
        trained(alice)
        write(alice)
        assert reasons(policy) == {}
        write(alice)
        assert reasons(policy) == {"alice": {"new": 2}}

    def test_is_due_at_an_age_by_the_clock_or_as_of_a_moment(self, workspace, alice):
        policy = a_policy(workspace, new_documents=None, max_age_days=7)
        trained(alice)
        assert reasons(policy) == {}
        assert reasons(policy, at=timezone.now() + timedelta(days=7)) == {"alice": {"age_days": 7.0}}
        LearnedProfile.objects.update(at=timezone.now() - timedelta(days=8))
        assert reasons(policy) == {"alice": {"age_days": 8.0}}

    def test_is_due_as_soon_as_a_document_is_removed_even_below_the_minimum(self, policy, alice):
        policy.minimum_documents = 5
        trained(alice)
        remove(alice, 0)
        assert reasons(policy) == {"alice": {"removed": 1}}

    def test_is_due_with_an_empty_profile_until_that_was_weighed(self, policy, alice):
        trained(alice)
        remove(alice, 0, 1, 2, 3, 4)
        assert reasons(policy) == {"alice": {"removed": 5}}
        version = task_of(workspace=alice.workspace, key=TWEETS).version
        note_learned(
            end_user=alice, task=TWEETS, task_version=version, base_model_id=policy.base_model_id, rank=8,
            document_ids=[],
        )  # fmt: skip
        assert reasons(policy) == {}

    def test_is_due_after_a_document_was_replaced(self, policy, alice):
        trained(alice)
        told = {"task": TWEETS, "client_id": "alice-0", "fields": {"text": "something else"}}
        put_document(workspace=alice.workspace, end_user=alice, **told)
        assert reasons(policy) == {"alice": {"removed": 1}}

    def test_is_due_when_the_task_has_another_version(self, workspace, alice):
        define_task(workspace=workspace, definition=REPLIES)
        key = REPLIES["key"]
        write(alice, 3, task=key)
        policy = a_policy(workspace, task=key)
        assert reasons(policy) == {"alice": {"first": True}}
        ids = [document.pk for document in tweets_of(alice, task=key)]
        noted = {"end_user": alice, "task": key, "base_model_id": a_base_model().pk, "rank": 8, "document_ids": ids}
        note_learned(task_version=task_of(workspace=workspace, key=key).version, **noted)
        assert reasons(policy) == {}
        note_learned(task_version="an earlier one", **noted)
        assert reasons(policy) == {"alice": {"task_changed": True}}

    def test_is_due_for_everything_that_applies(self, workspace, alice):
        policy = a_policy(workspace, max_age_days=1)
        trained(alice)
        write(alice, 2)
        remove(alice, 0)
        [due] = who_is_due(policy=policy, at=timezone.now() + timedelta(days=2))
        assert due.reasons == {"new": 2, "removed": 1, "age_days": 2.0}
        assert due.age == pytest.approx(2, abs=0.01)


class TestNobodyIsTrainedTwice:
    def test_nor_is_due_while_a_training_is_under_way(self, policy, alice):
        job = request_adapter(plan=plan_of(alice, tweets_of(alice)))
        assert reasons(policy) == {}
        Job.objects.filter(pk=job.pk).update(state="cancelled", finished_at=timezone.now())
        assert reasons(policy) == {"alice": {"first": True}}

    def test_but_a_training_of_another_rank_is_another(self, policy, alice):
        request_adapter(plan=plan_of(alice, tweets_of(alice), rank=4))
        assert reasons(policy) == {"alice": {"first": True}}

    def test_nor_is_due_while_a_retraining_is_under_way_whichever_policys(self, policy, alice):
        other = a_policy(alice.workspace, name="other")
        sweep = RetrainingSweep.objects.create(policy=other, rules={}, due=1)
        told = {"task": TWEETS, "base_model": policy.base_model, "rank": 8, "position": 0, "due_for": {"first": True}}
        one = Retraining.objects.create(sweep=sweep, end_user=alice, state="measuring", **told)
        assert reasons(policy) == {}
        Retraining.objects.filter(pk=one.pk).update(state="failed", reason="x", finished_at=timezone.now())
        assert reasons(policy) == {"alice": {"first": True}}


class TestTheOrder:
    @pytest.fixture
    def three(self, workspace):
        people_of_it = [people.person(workspace, name, [{"text": f"{name} {n}"} for n in range(4)]) for name in "abc"]
        for one in people_of_it:
            trained(one)
        return people_of_it

    def test_is_by_the_number_of_changes(self, policy, three):
        for one, number in zip(three, (2, 4, 3), strict=True):
            write(one, number)
        assert order(policy) == ["b", "c", "a"]
        remove(three[0], 0, 1, 2)
        assert order(policy) == ["a", "b", "c"]

    def test_is_by_the_age_of_the_adapter_where_the_policy_says_so(self, workspace, three, alice):
        policy = a_policy(workspace, order=RetrainingPolicy.Order.OLDEST)
        for one, days in zip(three, (1, 3, 2), strict=True):
            write(one, 2)
            LearnedProfile.objects.filter(end_user=one).update(at=timezone.now() - timedelta(days=days))
        assert order(policy) == ["alice", "b", "c", "a"]


def test_nobody_of_another_workspace_is_due(policy, alice, mallory):
    assert set(reasons(policy)) == {"alice"}
    assert set(reasons(a_policy(mallory.workspace))) == {"mallory"}


class TestWhatIsNotedWhenAnAdapterIsRecorded:
    def test_is_the_profile_as_it_was_when_its_documents_were_read(self, alice):
        plan = plan_of(alice, tweets_of(alice))
        write(alice, 3)
        remove(alice, 0)
        record_adapter(end_user=alice, plan=plan, facts=facts())
        assert learned(alice) == (5, 0, 5)

    def test_counts_repetitions(self, alice):
        first = tweets_of(alice)[0]
        told = {"task": TWEETS, "client_id": "again", "fields": first.fields}
        put_document(workspace=alice.workspace, end_user=alice, **told)
        record_adapter(end_user=alice, plan=plan_of(alice, tweets_of(alice)), facts=facts())
        assert learned(alice) == (5, 0, 5)
        trained(alice)
        assert learned(alice) == (6, 0, 6)

    def test_documents_that_never_were_live_make_due_until_the_profile_was_learned(self, policy, alice):
        write(alice, 1)
        strange = tweets_of(alice)[-1]
        alice.profile_entries.filter(document=strange).delete()
        LearnedProfile.objects.all().delete()
        record_adapter(end_user=alice, plan=plan_of(alice, tweets_of(alice)), facts=facts())
        assert reasons(policy) == {"alice": {"removed": 1}}
        trained(alice)
        assert reasons(policy) == {}

    def test_is_nothing_where_there_is_no_live_profile(self, workspace):
        somebody = people.person(workspace, "somebody")
        document = Document.objects.create(
            end_user=somebody, task=TWEETS, digest=b"0" * 32, fields={"text": "of a dataset"}
        )
        record_adapter(end_user=somebody, plan=plan_of(somebody, [document]), facts=facts())
        assert learned(somebody) is None

    def test_is_of_the_last_one(self, policy, alice):
        early = plan_of(alice, tweets_of(alice))
        write(alice, 2)
        trained(alice)
        assert reasons(policy) == {}
        record_adapter(end_user=alice, plan=early, facts=facts())
        assert reasons(policy) == {"alice": {"new": 2}}

    def test_is_nothing_where_it_is_a_trial(self, alice):
        plan = plan_of(alice, tweets_of(alice))
        adapter = record_adapter(end_user=alice, plan=plan, facts=facts())
        Adapter.objects.filter(pk=adapter.pk).update(is_trial=True)
        LearnedProfile.objects.all().delete()
        record_adapter(end_user=alice, plan=plan, facts=facts())
        assert learned(alice) is None


class TestWithdrawnAdapters:
    def test_of_lost_files_make_due(self, policy, alice):
        adapter = trained(alice)
        withdraw_adapter(adapter=adapter)
        assert reasons(policy) == {"alice": {"lost": True}}
        trained(alice)
        assert reasons(policy) == {}

    def test_make_nobody_due_who_has_a_newer_one(self, policy, alice):
        earlier = trained(alice)
        write(alice)
        trained(alice)
        withdraw_adapter(adapter=earlier)
        assert reasons(policy) == {}

    def test_make_nobody_else_due(self, policy, alice, bob):
        trained(alice, rank=4)
        trained(bob)
        withdraw_adapter(adapter=trained(alice))
        assert reasons(policy) == {"alice": {"lost": True}}
        assert not LearnedProfile.objects.get(end_user=alice, rank=4).lost

    def test_that_their_owner_deleted_make_nobody_due_before_the_profile_changes(self, policy, alice):
        delete_adapter(adapter=trained(alice))
        assert reasons(policy) == {}
        write(alice, 2)
        assert reasons(policy) == {"alice": {"new": 2}}

    @pytest.mark.django_db(transaction=True)
    def test_of_an_erased_document_are_trained_anew_once(self, policy, alice):
        trained(alice)
        erase_document(workspace=alice.workspace, end_user=alice, task=TWEETS, client_id="alice-0")
        # The erasure has asked for the training itself.
        assert Job.objects.filter(kind="train_adapter", state="waiting").count() == 1
        assert reasons(policy) == {}
        Job.objects.filter(kind="train_adapter").update(state="done", attempts=1, finished_at=timezone.now())
        assert reasons(policy) == {"alice": {"removed": 1, "lost": True}}
        trained(alice)
        assert reasons(policy) == {}


@pytest.mark.django_db(transaction=True)
def test_an_erased_person_is_nowhere_left(policy, alice):
    trained(alice)
    sweep = RetrainingSweep.objects.create(policy=policy, rules={}, due=1)
    told = {"task": TWEETS, "base_model": policy.base_model, "rank": 8, "position": 0, "due_for": {"first": True}}
    Retraining.objects.create(sweep=sweep, end_user=alice, **told)
    erase_end_user(workspace=alice.workspace, end_user=alice)
    assert not Retraining.objects.exists()
    assert not LearnedProfile.objects.exists()


def test_adapters_that_stand_when_learned_profiles_begin_are_noted(policy, alice, bob):
    trained(alice)
    write(alice, 2)
    trained(alice)
    trained(bob)
    write(bob)
    remove(bob, 0)
    found = set(LearnedProfile.objects.values_list("end_user_id", "added", "removed", "documents"))
    LearnedProfile.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(import_module("training_app.migrations.0007_retraining").NOTE_WHAT_STANDS)
    assert set(LearnedProfile.objects.values_list("end_user_id", "added", "removed", "documents")) == found
