"""Many documents put at once mean what they would mean one after the other."""

import hypothesis
import pytest
from hypothesis import strategies as st

from common.api.problems import Problem
from jobs.models import Job
from tests.people import TWEETS, person, workspace
from users_app import listeners
from users_app.models import Document, EndUser, ProfileEntry
from users_app.profiles import NewDocument, Outcome, put_documents
from users_app.selectors import visible_documents
from users_app.services import put_document


@pytest.fixture
def carol(db):
    return person(workspace("acme"), "carol")


def new(client_id, text, *, task=TWEETS, **fields):
    return NewDocument(task, client_id, {"text": text, **fields})


def put(end_user, *documents):
    return put_documents(workspace=end_user.workspace, end_user=end_user, documents=documents)


def outcomes(end_user, *documents):
    return [str(one.outcome) for one in put(end_user, *documents)]


def texts(end_user, task=TWEETS):
    found = visible_documents(workspace=end_user.workspace, end_user=end_user, task=task)
    return [document.fields["text"] for document in found]


def test_they_stand_in_the_profile_in_their_order(carol):
    assert outcomes(carol, new("b", "one"), new("a", "two"), new("c", "three")) == ["created"] * 3
    assert texts(carol) == ["one", "two", "three"]


def test_later_ones_stand_behind_those_that_were_there(carol):
    put(carol, new("a", "one"))
    put(carol, new("b", "two"), new("c", "three"))
    assert texts(carol) == ["one", "two", "three"]


def test_what_stands_already_is_left_as_it_is(carol):
    [first] = put(carol, new("a", "one"))
    [again] = put(carol, new("a", "one"))
    assert (again.outcome, again.entry_id, again.digest) == (Outcome.UNCHANGED, first.entry_id, first.digest)


def test_other_content_under_the_same_id_replaces_and_moves_to_the_end(carol):
    put(carol, new("a", "one"), new("b", "two"))
    assert outcomes(carol, new("a", "one, corrected")) == ["replaced"]
    assert texts(carol) == ["two", "one, corrected"]
    assert ProfileEntry.objects.get(end_user=carol, removed_at__isnull=False).document.fields == {"text": "one"}


def test_an_id_that_comes_twice_is_replaced_by_itself(carol):
    assert outcomes(carol, new("a", "one"), new("a", "two"), new("a", "two")) == ["created", "replaced", "unchanged"]
    assert texts(carol) == ["two"]


def test_equal_content_under_two_ids_is_one_document_that_stands_twice(carol):
    put(carol, new("a", "same"), new("b", "same"))
    assert texts(carol) == ["same", "same"]
    assert Document.objects.filter(end_user=carol).count() == 1


def test_each_task_has_its_own_profile(carol):
    put(carol, new("a", "tweet"), new("a", "title", task="LaMP-5"), new("b", "tweet 2"))
    assert (texts(carol), texts(carol, task="LaMP-5")) == (["tweet", "tweet 2"], ["title"])


def test_the_date_is_kept_in_its_order(carol):
    put(carol, new("a", "one", date="2019-03-01"), new("b", "two", date=2009))
    assert [tuple(one.date_key) for one in Document.objects.order_by("pk")] == [(2019, 3, 1), (2009,)]


def test_somebody_of_another_workspace_is_nobody(carol, mallory):
    with pytest.raises(EndUser.DoesNotExist):
        put_documents(workspace=mallory.workspace, end_user=carol, documents=[new("a", "one")])
    assert not Document.objects.filter(end_user=carol).exists()


def test_a_thousand_take_a_few_statements(carol, django_assert_max_num_queries):
    documents = [new(f"id {at}", f"text {at}", date=2000 + at) for at in range(1000)]
    put(carol, *documents[:300])
    with django_assert_max_num_queries(20):
        put(carol, *documents)
    assert len(texts(carol)) == 1000


class TestWhoListens:
    @pytest.fixture
    def heard(self, monkeypatch):
        """What a listener was told: end users and tasks."""
        told = []
        monkeypatch.setattr(listeners, "_added", [lambda **what: told.append((what["end_user"], set(what["tasks"])))])
        return told

    def test_hears_of_the_tasks_that_have_new_content(self, carol, heard):
        put(carol, new("a", "one"), new("a", "title", task="LaMP-5"))
        put(carol, new("a", "one"), new("b", "another title", task="LaMP-5"))
        assert heard == [(carol, {TWEETS, "LaMP-5"}), (carol, {"LaMP-5"})]

    def test_hears_nothing_where_nothing_is_new(self, carol, heard):
        put(carol, new("a", "one"))
        put(carol, new("a", "one"), new("b", "one"))
        assert len(heard) == 1


def test_new_documents_are_to_be_embedded_by_a_job_that_holds_no_text(carol, settings):
    settings.DEFAULT_BASE_MODEL = "some/t5"
    settings.DEFAULT_ENCODER = "some/encoder"
    put(carol, new("a", "one"))
    job = Job.objects.get()
    assert (job.kind, job.workspace_id, job.end_user_id) == ("embed_documents", carol.workspace_id, carol.pk)
    assert job.payload == {"encoder": "some/encoder", "task": TWEETS, "end_user_ids": [carol.pk]}


FEW = st.sampled_from("abc")
BATCHES = st.lists(st.lists(st.tuples(st.sampled_from([TWEETS, "LaMP-5"]), FEW, FEW), max_size=8), max_size=4)


@pytest.mark.django_db
@hypothesis.settings(
    max_examples=15, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(batches=BATCHES)
def test_at_once_and_one_after_the_other_are_the_same(batches):
    at_once, one_by_one = person(workspace("acme"), "at once"), person(workspace("acme"), "one by one")
    try:
        for batch in batches:
            put(at_once, *(new(client_id, text, task=task) for task, client_id, text in batch))
            for task, client_id, text in batch:
                put_document(
                    workspace=one_by_one.workspace,
                    end_user=one_by_one,
                    task=task,
                    client_id=client_id,
                    fields={"text": text},
                )
        assert everything(at_once) == everything(one_by_one)
    finally:
        EndUser.objects.filter(pk__in=[at_once.pk, one_by_one.pk]).delete()


def everything(end_user):
    entries = ProfileEntry.objects.filter(end_user=end_user).order_by("task", "position")
    return [
        (entry.task, entry.position, entry.client_id, entry.document.fields, entry.removed_at is None)
        for entry in entries.select_related("document")
    ]


def test_a_profile_has_a_bound(alice, monkeypatch):
    monkeypatch.setattr("users_app.profiles.MOST_DOCUMENTS", 6)
    put(alice, new("sixth", "fits"))
    with pytest.raises(Problem) as refused:
        put(alice, new("seventh", "does not"))
    assert (refused.value.status, refused.value.slug) == (409, "profile-full")
    put(alice, new("sixth", "takes its place"))
