import numpy as np
import pytest
from django.db import IntegrityError, transaction
from rank_bm25 import BM25Okapi

from jobs.models import Job
from retrieval_app import services
from retrieval_app.models import Embedding
from retrieval_app.recency import NoDates
from retrieval_app.services import (
    DOCUMENTS_A_JOB,
    NotEmbedded,
    ensure_encoder,
    request_embeddings,
    retrieve,
    store_embeddings,
)
from tests.people import OF_ALICE, OF_BOB, TWEETS, give, person, tweets_of
from tests.retrieval_app.vectors import DIMENSION, an_encoder, embed, vectors

QUERY = "the garden in the rain"


def best(end_user, retriever, *, documents=None, count=4, query=QUERY, task=TWEETS, **dense):
    return retrieve(
        workspace=end_user.workspace,
        end_user=end_user,
        task=task,
        documents=tweets_of(end_user, task=task) if documents is None else documents,
        retriever=retriever,
        query=query,
        count=count,
        **dense,
    )


def positions(retrieved):
    return [one.position for one in retrieved]


def stable_order(scores):
    return np.argsort(scores, kind="stable")[::-1].tolist()


class TestBM25:
    def test_scores_are_those_of_rank_bm25_over_this_profile_alone(self, alice):
        reference = BM25Okapi([tweet["text"].split() for tweet in OF_ALICE]).get_scores(QUERY.split())
        found = best(alice, "bm25", count=10)
        assert [(one.position, one.score) for one in found] == [
            (at, float(reference[at])) for at in stable_order(reference)
        ]

    def test_another_user_changes_no_score(self, alice, bob):
        before = best(alice, "bm25")
        give(bob, [{"text": QUERY}] * 50)
        assert best(alice, "bm25") == before

    def test_a_document_reads_as_its_task_says(self, workspace):
        author = person(workspace, "author", [{"title": "garden", "text": "rain", "date": "2019"}], task="LaMP-4")
        give(author, [{"title": "sun", "text": word, "date": "2019"} for word in ("sand", "sea", "sky")], task="LaMP-4")
        assert positions(best(author, "bm25", query="garden", task="LaMP-4", count=1)) == [0]
        assert positions(best(author, "bm25", query="rain", task="LaMP-4", count=1)) == [0]

    def test_a_repeated_document_counts_each_time_and_the_later_comes_first(self, alice):
        first, second, *_ = tweets_of(alice)
        found = best(alice, "bm25", documents=[first, second, first], count=3)
        assert positions(found).index(2) < positions(found).index(0)
        assert found[positions(found).index(2)].score == found[positions(found).index(0)].score

    def test_the_index_of_a_snapshot_is_not_that_of_another(self, alice):
        """The cache is warm with the whole profile when a part of it is asked for."""
        whole = tweets_of(alice)
        best(alice, "bm25", documents=whole)
        part = best(alice, "bm25", documents=whole[:3], count=3)
        reference = BM25Okapi([tweet["text"].split() for tweet in OF_ALICE[:3]]).get_scores(QUERY.split())
        assert [one.score for one in part] == [float(reference[at]) for at in stable_order(reference)]

    def test_an_index_is_made_once(self, alice, monkeypatch):
        best(alice, "bm25")
        monkeypatch.setattr(services, "BM25Index", None)
        assert best(alice, "bm25")

    def test_a_profile_without_a_word_scores_zero_and_the_last_comes_first(self, workspace):
        silent = person(workspace, "silent", [{"text": ""}, {"text": " "}])
        assert [(one.position, one.score) for one in best(silent, "bm25")] == [(1, 0.0), (0, 0.0)]


class TestRecency:
    def test_the_newest_come_first(self, alice):
        found = best(alice, "recency", count=3)
        assert [one.document.fields["date"] for one in found] == ["2019-06-02", "2019-04-11", "2019-03-01"]

    def test_a_score_counts_the_older_dates(self, alice):
        assert [one.score for one in best(alice, "recency", count=10)] == [4.0, 3.0, 2.0, 1.0, 0.0]

    def test_of_equal_dates_the_later_document_comes_first(self, workspace):
        user = person(workspace, "dated", [{"text": text, "date": "2019"} for text in "abc"])
        assert positions(best(user, "recency")) == [2, 1, 0]

    def test_a_profile_without_dates_is_refused(self, workspace):
        user = person(workspace, "undated", [{"text": "a", "date": "2019"}, {"text": "b"}])
        with pytest.raises(NoDates, match="1 of 2 documents have no date"):
            best(user, "recency")


class TestDense:
    @pytest.fixture
    def encoder(self, db):
        return an_encoder()

    @pytest.fixture
    def query(self):
        return vectors(1, seed=7)[0]

    def test_ranks_are_those_of_numpy_and_the_scores_nearly_so(self, workspace, encoder, query):
        user = person(workspace, "prolific", [{"text": f"tweet {at}"} for at in range(60)])
        made = embed(user, tweets_of(user), encoder)
        reference = made.astype(np.float64) @ query.astype(np.float64)
        found = best(user, "contriever", count=60, encoder=encoder, query_vector=query)
        assert positions(found) == stable_order(reference)
        np.testing.assert_allclose([one.score for one in found], reference[positions(found)], rtol=1e-5, atol=1e-6)

    def test_a_repeated_document_ties_and_the_later_comes_first(self, alice, encoder, query):
        documents = tweets_of(alice)
        embed(alice, documents, encoder)
        found = best(
            alice, "contriever", documents=documents + documents[:1], count=6, encoder=encoder, query_vector=query
        )
        assert positions(found).index(5) == positions(found).index(0) - 1

    def test_missing_vectors_are_said_not_skipped(self, alice, encoder, query):
        embed(alice, tweets_of(alice)[:3], encoder)
        with pytest.raises(NotEmbedded, match=r"^2 documents of end user \d+ have no vector"):
            best(alice, "contriever", encoder=encoder, query_vector=query)

    def test_vectors_of_another_revision_do_not_stand_in(self, alice, encoder, query):
        embed(alice, tweets_of(alice), an_encoder(revision="older"))
        with pytest.raises(NotEmbedded):
            best(alice, "contriever", encoder=encoder, query_vector=query)

    @pytest.mark.parametrize("given", [{"encoder": None}, {"query_vector": None}])
    def test_an_encoder_and_a_query_are_needed(self, alice, encoder, query, given):
        with pytest.raises(ValueError, match="needs an encoder and the query's vector"):
            best(alice, "contriever", **{"encoder": encoder, "query_vector": query, **given})


@pytest.mark.parametrize("retriever", ["bm25", "recency", "contriever"])
def test_there_are_never_more_than_asked_for_nor_than_there_are(alice, retriever):
    encoder = an_encoder()
    embed(alice, tweets_of(alice), encoder)
    dense = {"encoder": encoder, "query_vector": vectors(1)[0]} if retriever == "contriever" else {}
    assert [len(best(alice, retriever, count=count, **dense)) for count in (1, 4, 100)] == [1, 4, len(OF_ALICE)]


@pytest.mark.parametrize("retriever", ["bm25", "recency", "contriever"])
def test_an_empty_profile_gives_nothing(alice, retriever):
    assert best(alice, retriever, documents=[]) == []


def test_an_unknown_retriever_is_refused_with_those_that_exist(alice):
    with pytest.raises(ValueError, match="there are bm25, recency, contriever,"):
        best(alice, "telepathy")


def test_an_encoder_is_recorded_once_a_revision(db):
    assert an_encoder() == an_encoder()
    assert an_encoder() != an_encoder(revision="2")


def test_an_encoder_cannot_change_its_dimension(db):
    an_encoder()
    with pytest.raises(ValueError, match="16 dimensions on record, the model has 8"):
        ensure_encoder(name="some/encoder", revision="1", dimension=8)


def test_a_vector_that_stands_is_kept(alice):
    encoder = an_encoder()
    first = embed(alice, tweets_of(alice), encoder, seed=1)
    embed(alice, tweets_of(alice), encoder, seed=2)
    stored = Embedding.objects.filter(end_user=alice).order_by("document")
    np.testing.assert_array_equal(np.array([one.vector for one in stored], dtype=np.float32), first)


@pytest.mark.parametrize("shape", [(5, DIMENSION - 1), (4, DIMENSION)])
def test_vectors_of_another_shape_are_refused(alice, shape):
    with pytest.raises(ValueError, match=f"Expected 5 × {DIMENSION} numbers"):
        store_embeddings(
            end_user=alice, encoder=an_encoder(), documents=tweets_of(alice), vectors=np.zeros(shape, dtype=np.float32)
        )


def test_another_users_document_is_not_embedded_as_ones_own(alice, bob):
    with pytest.raises(ValueError, match="another end user"):
        store_embeddings(end_user=alice, encoder=an_encoder(), documents=tweets_of(bob), vectors=vectors(len(OF_BOB)))
    assert not Embedding.objects.exists()


def test_the_database_refuses_a_vector_of_another_dimension_than_it_says(alice):
    with pytest.raises(IntegrityError, match="embedding_has_its_dimension"), transaction.atomic():
        Embedding.objects.create(
            end_user=alice, document=tweets_of(alice)[0], encoder=an_encoder(), dimension=3, vector=[1.0, 2.0]
        )


class TestRequests:
    def ask(self, workspace, end_users, encoder=None):
        return request_embeddings(
            workspace=workspace,
            task=TWEETS,
            encoder=encoder or an_encoder(),
            end_users=end_users,
            origin="run:1",
        )

    def jobs(self):
        return Job.objects.filter(kind="embed_documents").order_by("pk")

    def test_a_job_takes_people_until_it_is_full(self, workspace):
        self.ask(workspace, [(1, DOCUMENTS_A_JOB - 1), (2, 10), (3, 10)])
        assert [job.payload["end_user_ids"] for job in self.jobs()] == [[1, 2], [3]]

    def test_a_job_holds_ids_and_no_text(self, alice):
        encoder = an_encoder()
        self.ask(alice.workspace, [(alice.pk, 5)], encoder)
        job = self.jobs().get()
        assert job.payload == {"encoder_id": encoder.pk, "task": TWEETS, "end_user_ids": [alice.pk]}
        assert (job.workspace_id, job.origin) == (alice.workspace_id, "run:1")

    def test_asking_twice_is_asking_once(self, workspace):
        assert self.ask(workspace, [(1, 5)]) == self.ask(workspace, [(1, 5)])
        assert self.jobs().count() == 1

    def test_another_encoder_is_another_job(self, workspace):
        self.ask(workspace, [(1, 5)], an_encoder(revision="1"))
        self.ask(workspace, [(1, 5)], an_encoder(revision="2"))
        assert self.jobs().count() == 2
