import pytest

from tests.people import OF_ALICE, TWEETS, tweets_of
from users_app.selectors import (
    UnknownDocuments,
    UnknownWorkspace,
    documents_of,
    end_user_by_id,
    end_users,
    snapshot_documents,
    visible_documents,
    workspace_by_id,
    workspace_by_slug,
)


def snapshot(end_user, document_ids, *, workspace=None, task=TWEETS):
    return snapshot_documents(
        workspace=workspace or end_user.workspace, end_user=end_user, task=task, document_ids=document_ids
    )


def test_a_workspace_is_found_by_its_name(workspace):
    assert workspace_by_slug("acme") == workspace


def test_a_workspace_that_is_not_there_is_named(db):
    with pytest.raises(UnknownWorkspace, match="“nowhere”"):
        workspace_by_slug("nowhere")


def test_a_workspace_that_has_gone_is_none(workspace):
    assert workspace_by_id(workspace.pk + 1_000_000) is None
    assert workspace_by_id(None) is None


def test_end_users_are_those_of_the_workspace(alice, bob, mallory):
    assert set(end_users(workspace=alice.workspace)) == {alice, bob}


def test_an_end_user_is_not_found_through_another_workspace(alice, mallory):
    assert end_user_by_id(workspace=alice.workspace, end_user_id=alice.pk) == alice
    assert end_user_by_id(workspace=mallory.workspace, end_user_id=alice.pk) is None
    assert end_user_by_id(workspace=alice.workspace, end_user_id=None) is None


def test_documents_are_those_of_one_user(alice, bob):
    found = documents_of(workspace=alice.workspace, end_user=alice, task=TWEETS)
    assert {document.fields["text"] for document in found} == {tweet["text"] for tweet in OF_ALICE}


def test_documents_are_those_of_one_task(alice):
    assert not documents_of(workspace=alice.workspace, end_user=alice, task="LaMP-4").exists()


def test_nothing_is_seen_through_another_workspace(alice, mallory):
    assert not documents_of(workspace=mallory.workspace, end_user=alice, task=TWEETS).exists()
    assert visible_documents(workspace=mallory.workspace, end_user=alice, task=TWEETS) == []


def test_a_snapshot_keeps_its_order_and_repetitions(alice):
    first, second, third, *_ = tweets_of(alice)
    wanted = [third, first, third, second]
    assert snapshot(alice, [document.pk for document in wanted]) == wanted


def test_an_empty_snapshot_is_empty(alice):
    assert snapshot(alice, []) == []


def test_a_snapshot_never_reaches_another_users_document(alice, bob):
    with pytest.raises(UnknownDocuments):
        snapshot(alice, [tweets_of(alice)[0].pk, tweets_of(bob)[0].pk])


def test_a_snapshot_never_reaches_into_another_workspace(alice, mallory):
    with pytest.raises(UnknownDocuments):
        snapshot(alice, [tweets_of(alice)[0].pk], workspace=mallory.workspace)


def test_a_snapshot_never_reaches_another_tasks_document(alice):
    with pytest.raises(UnknownDocuments):
        snapshot(alice, [tweets_of(alice)[0].pk], task="LaMP-4")


def test_a_document_that_has_gone_is_named_by_its_id_alone(alice):
    with pytest.raises(UnknownDocuments) as raised:
        snapshot(alice, [10**9])
    assert "1000000000" in str(raised.value)
    assert not any(tweet["text"] in str(raised.value) for tweet in OF_ALICE)
