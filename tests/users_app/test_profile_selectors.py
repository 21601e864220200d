"""What a profile is made of, of one end user alone."""

from tests import people
from users_app.profile_selectors import documents_by_period, documents_by_task, places_of


def test_nothing_of_anybody_else_is_counted(alice, bob, mallory):
    (hers,) = documents_by_task(workspace=alice.workspace, end_user=alice)
    assert (hers.documents, hers.live) == (len(people.OF_ALICE), len(people.OF_ALICE))
    assert documents_by_task(workspace=mallory.workspace, end_user=alice) == []
    assert documents_by_period(workspace=mallory.workspace, end_user=alice, task=people.TWEETS) == []


def test_places_are_of_the_end_user_alone(alice, bob):
    his = people.tweets_of(bob)
    assert places_of(workspace=alice.workspace, end_user=alice, documents=his) == {}
    assert set(places_of(workspace=bob.workspace, end_user=bob, documents=his)) == {one.pk for one in his}


def test_a_document_that_was_taken_out_and_put_back_stands_where_it_stands_now(alice, workspace):
    from users_app.services import remove_document

    first = people.tweets_of(alice)[0]
    remove_document(workspace=workspace, end_user=alice, task=people.TWEETS, client_id="alice-0")
    people.give(alice, [people.OF_ALICE[0]])
    entry = places_of(workspace=workspace, end_user=alice, documents=[first])[first.pk]
    assert (entry.removed_at, entry.client_id) == (None, "alice-5")


def test_periods_add_up_to_all_documents(workspace):
    tweets = [{"text": f"{at}", "date": str(1000 + at % 80)} for at in range(200)] + [{"text": "never"}]
    carol = people.person(workspace, "carol", tweets)
    periods = documents_by_period(workspace=workspace, end_user=carol, task=people.TWEETS)
    assert sum(period.documents for period in periods) == 201
    assert len(periods) <= 38
