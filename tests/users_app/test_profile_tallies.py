"""Tallies say how many entries were ever added to a profile, and how many have left it, whatever has happened."""

import threading

import pytest
from django.db import connection, connections, transaction
from django.db.models.functions import Now
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import people
from tests.people import TWEETS
from users_app.audit import INSTALLATION
from users_app.erasure import _erase_entries, erase_document, erase_end_user
from users_app.models import Document, EndUser, ProfileEntry, ProfileTally
from users_app.profiles import NewDocument, put_documents
from users_app.services import put_document, remove_document


def tally(end_user, task=TWEETS):
    return ProfileTally.objects.filter(end_user=end_user, task=task).values_list("added", "removed").first()


def put(end_user, client_id, text, task=TWEETS):
    put_documents(
        workspace=end_user.workspace, end_user=end_user, documents=[NewDocument(task, client_id, {"text": text})]
    )


def remove(end_user, client_id):
    remove_document(workspace=end_user.workspace, end_user=end_user, task=TWEETS, client_id=client_id)


def test_a_profile_is_tallied_as_it_grows(alice):
    assert tally(alice) == (5, 0)
    put(alice, "x", "one more")
    assert tally(alice) == (6, 0)


def test_each_task_has_a_tally_of_its_own(alice):
    put(alice, "x", "another task's", task="LaMP-5")
    assert (tally(alice), tally(alice, "LaMP-5")) == ((5, 0), (1, 0))


def test_what_stands_already_is_not_added_again(alice):
    put(alice, "x", "the same")
    put(alice, "x", "the same")
    assert tally(alice) == (6, 0)


def test_a_replaced_document_is_one_added_and_one_removed(alice):
    put(alice, "x", "before")
    put(alice, "x", "after")
    assert tally(alice) == (7, 1)


def test_an_id_that_comes_twice_at_once_is_counted_as_if_one_had_come_after_the_other(alice):
    put_documents(
        workspace=alice.workspace,
        end_user=alice,
        documents=[NewDocument(TWEETS, "x", {"text": text}) for text in ("before", "after")],
    )
    assert tally(alice) == (7, 1)


def test_a_removed_document_is_counted_once_even_where_its_entry_is_deleted_later(alice):
    remove(alice, "alice-0")
    assert tally(alice) == (5, 1)
    alice.profile_entries.filter(removed_at__isnull=False).delete()
    assert tally(alice) == (5, 1)


@pytest.mark.django_db(transaction=True)
def test_an_erased_document_is_a_removed_one(alice):
    erase_document(workspace=alice.workspace, end_user=alice, task=TWEETS, client_id="alice-0")
    assert tally(alice) == (5, 1)


@pytest.mark.django_db(transaction=True)
def test_an_erased_person_leaves_no_tally_and_nobody_elses_changes(alice, bob):
    before = tally(bob)
    erase_end_user(workspace=alice.workspace, end_user=alice)
    assert not ProfileTally.objects.filter(end_user_id=alice.pk).exists()
    assert tally(bob) == before


def test_a_workspace_is_deleted_with_its_tallies(alice, mallory):
    alice.workspace.delete()
    assert list(ProfileTally.objects.values_list("end_user_id", flat=True)) == [mallory.pk]


def test_people_are_deleted_whose_tally_went_first(alice):
    ProfileTally.objects.all().delete()
    alice.profile_entries.all().delete()
    Document.objects.filter(end_user=alice).delete()
    alice.delete()
    assert not ProfileTally.objects.exists()


def test_an_entry_that_changes_otherwise_changes_no_tally(alice):
    before = ProfileTally.objects.get(end_user=alice)
    alice.profile_entries.update(added_at=Now())
    after = ProfileTally.objects.get(end_user=alice)
    assert (after.added, after.removed, after.changed_at) == (before.added, before.removed, before.changed_at)


def test_what_stands_when_tallies_begin_is_counted(alice, bob):
    from importlib import import_module

    remove(alice, "alice-0")
    found = dict(ProfileTally.objects.values_list("end_user_id", "removed"))
    ProfileTally.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(import_module("users_app.migrations.0031_profile_tallies").TALLY_WHAT_STANDS)
    assert dict(ProfileTally.objects.values_list("end_user_id", "removed")) == found
    assert (tally(alice), tally(bob)) == ((5, 1), (4, 0))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["put", "put_many", "put_one", "remove", "erase_document", "delete_entries", "erase", "revive"]
        ),
        st.integers(0, 2),
        st.integers(0, 4),
    ),
    min_size=5,
    max_size=25,
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(steps=STEPS)
def test_whatever_happens_the_tally_is_what_a_count_of_live_entries_says(db, steps):
    with transaction.atomic():
        space = people.workspace("property")
        least: dict[int, tuple[int, int]] = {}
        for step, who, number in steps:
            end_user = people.person(space, f"user {who}")
            act(step, end_user, number)
            for owner, added, removed in ProfileTally.objects.values_list("end_user_id", "added", "removed"):
                live = ProfileEntry.objects.filter(end_user=owner, removed_at__isnull=True).count()
                assert added - removed == live
                before = least.get(owner, (0, 0))
                assert added >= before[0]
                assert removed >= before[1]
                least[owner] = (added, removed)
            tallied = set(ProfileTally.objects.values_list("end_user_id", flat=True))
            assert set(ProfileEntry.objects.values_list("end_user_id", flat=True)) <= tallied
        transaction.set_rollback(True)


def act(step, end_user, number):
    live = end_user.profile_entries.filter(removed_at__isnull=True)
    if step == "put":
        put(end_user, f"d{number}", f"text {number}")
    elif step == "put_many":
        many = [NewDocument(TWEETS, f"d{n % 3}", {"text": f"of {number} and {n}"}) for n in range(number + 1)]
        put_documents(workspace=end_user.workspace, end_user=end_user, documents=many)
    elif step == "put_one":
        told = {"task": TWEETS, "client_id": f"d{number}", "fields": {"text": "one"}}
        put_document(workspace=end_user.workspace, end_user=end_user, **told)
    elif step == "remove":
        remove(end_user, f"d{number}")
    elif step == "erase_document" and live.filter(client_id=f"d{number}").exists():
        # As `erase_document` does within its transaction, which is durable and so no part of another.
        _erase_entries.__wrapped__(end_user.workspace, end_user, TWEETS, f"d{number}", INSTALLATION)
    elif step == "delete_entries":
        end_user.profile_entries.filter(position__lte=number).delete()
    elif step == "revive":
        gone = end_user.profile_entries.filter(removed_at__isnull=False).exclude(client_id__in=live.values("client_id"))
        if (entry := gone.order_by("-pk").first()) is not None:
            ProfileEntry.objects.filter(pk=entry.pk).update(removed_at=None)
    elif step == "erase":
        EndUser.objects.get(pk=end_user.pk).delete()


@pytest.mark.django_db(transaction=True)
def test_writers_of_many_profiles_do_not_wait_for_each_other_in_a_circle():
    space = people.workspace("acme")
    owners = [people.person(space, f"user {n}", [{"text": "first"}]) for n in range(20)]
    documents = {owner.pk: owner.documents.get().pk for owner in owners}
    failed = []

    def write(name, order):
        try:
            for n in range(10):
                with transaction.atomic():
                    ProfileEntry.objects.bulk_create(
                        ProfileEntry(
                            end_user=owner,
                            task=TWEETS,
                            client_id=f"{name} {n}",
                            document_id=documents[owner.pk],
                            position=(1000 if name == "there" else 2000) + n,
                        )
                        for owner in order
                    )
                    own = ProfileEntry.objects.filter(client_id=f"{name} {n}")
                    own.update(removed_at=Now())
        except Exception as error:
            failed.append(error)
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=write, args=("there", owners)),
        threading.Thread(target=write, args=("back", owners[::-1])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert {tally(owner) for owner in owners} == {(21, 20)}
