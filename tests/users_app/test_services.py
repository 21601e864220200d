import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction

from tests.people import OF_ALICE, TWEETS, give, person
from users_app.models import Document, EndUser, Membership, ProfileEntry
from users_app.selectors import role_of, visible_documents
from users_app.services import ensure_end_user, ensure_workspace, put_document, remove_document, set_role


def texts(end_user, task=TWEETS):
    found = visible_documents(workspace=end_user.workspace, end_user=end_user, task=task)
    return [document.fields["text"] for document in found]


@pytest.fixture
def carol(workspace):
    """Somebody without a document."""
    return person(workspace, "carol")


def put(end_user, client_id, text, task=TWEETS):
    return put_document(
        workspace=end_user.workspace, end_user=end_user, task=task, client_id=client_id, fields={"text": text}
    )


def remove(end_user, client_id):
    return remove_document(workspace=end_user.workspace, end_user=end_user, task=TWEETS, client_id=client_id)


def test_a_workspace_is_made_once(workspace):
    assert ensure_workspace(slug="acme", name="Another name") == (workspace, False)


def test_a_role_is_given_and_changed(workspace):
    member = get_user_model().objects.create(username="staff")
    set_role(workspace=workspace, user_id=member.pk, role=Membership.Role.VIEWER)
    set_role(workspace=workspace, user_id=member.pk, role=Membership.Role.ADMIN)
    assert role_of(workspace=workspace, user_id=member.pk) == "admin"


def test_a_stranger_has_no_role(workspace, mallory):
    member = get_user_model().objects.create(username="staff")
    set_role(workspace=mallory.workspace, user_id=member.pk, role=Membership.Role.ADMIN)
    assert role_of(workspace=workspace, user_id=member.pk) is None


def test_a_role_nobody_knows_is_refused_by_the_database(workspace):
    member = get_user_model().objects.create(username="staff")
    with pytest.raises(IntegrityError, match="membership_role_is_known"), transaction.atomic():
        set_role(workspace=workspace, user_id=member.pk, role="owner")


def test_the_same_name_in_two_workspaces_is_two_people(alice, mallory):
    namesake = ensure_end_user(workspace=mallory.workspace, external_id="alice")
    assert namesake != alice
    assert texts(namesake) == []


def test_an_end_user_without_a_name_is_refused_by_the_database(workspace):
    with pytest.raises(IntegrityError, match="end_user_has_an_external_id"), transaction.atomic():
        ensure_end_user(workspace=workspace, external_id="")


def test_a_profile_keeps_the_order_in_which_it_came(alice):
    assert texts(alice) == [tweet["text"] for tweet in OF_ALICE]


def test_the_same_entry_again_changes_nothing(carol):
    first = put(carol, "1", "hello")
    assert put(carol, "1", "hello") == first
    assert ProfileEntry.objects.filter(end_user=carol).count() == 1


def test_changed_content_replaces_the_entry_at_the_end_of_the_profile(carol):
    put(carol, "1", "hello")
    put(carol, "2", "there")
    put(carol, "1", "goodbye")
    assert texts(carol) == ["there", "goodbye"]


def test_content_once_stored_stays_and_is_found_again(carol):
    first = put(carol, "1", "hello").document
    put(carol, "1", "goodbye")
    assert put(carol, "1", "hello").document == first
    assert Document.objects.filter(end_user=carol).count() == 2


def test_a_document_repeated_under_another_id_stands_twice_in_the_profile(carol):
    put(carol, "1", "hello")
    put(carol, "2", "hello")
    assert texts(carol) == ["hello", "hello"]
    assert Document.objects.filter(end_user=carol).count() == 1


def test_equal_content_of_two_people_is_two_documents(alice, bob):
    mine, theirs = (give(user, [{"text": "the same words"}])[0] for user in (alice, bob))
    assert mine.digest == theirs.digest
    assert mine != theirs


def test_equal_content_for_two_tasks_is_two_documents(carol):
    assert put(carol, "1", "hello").document != put(carol, "1", "hello", task="LaMP-4").document


def test_a_removed_entry_leaves_the_profile_and_its_document_stays(carol):
    entry = put(carol, "1", "hello")
    assert remove(carol, "1")
    assert texts(carol) == []
    assert Document.objects.filter(pk=entry.document_id).exists()


def test_removing_what_is_not_there_says_so(carol):
    assert not remove(carol, "1")


def test_a_document_cannot_be_put_through_another_workspace(alice, mallory):
    with pytest.raises(EndUser.DoesNotExist):
        put_document(
            workspace=mallory.workspace, end_user=alice, task=TWEETS, client_id="1", fields={"text": "planted"}
        )


def test_a_document_cannot_be_removed_through_another_workspace(alice, mallory):
    with pytest.raises(EndUser.DoesNotExist):
        remove_document(workspace=mallory.workspace, end_user=alice, task=TWEETS, client_id="alice-0")
    assert len(texts(alice)) == len(OF_ALICE)
