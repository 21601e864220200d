"""What the sweep deletes of vectors."""

import pytest

from jobs import sweeps
from retrieval_app import embedding_sweep
from retrieval_app.embedding_sweep import sweep_embeddings
from retrieval_app.models import Embedding
from tests.people import tweets_of
from tests.retrieval_app.trained import trained
from tests.retrieval_app.vectors import an_encoder, embed


@pytest.fixture
def encoder(alice):
    """One by which all that Alice wrote is embedded, beside another that nobody fine-tuned."""
    for revision in ("1", "2"):
        embed(alice, tweets_of(alice), an_encoder(revision=revision))
    return an_encoder(revision="1")


def left(encoder):
    return Embedding.objects.filter(encoder=encoder).count()


def test_the_vectors_of_a_withdrawn_encoder_go_and_no_others(workspace, alice, encoder):
    trained(workspace, "ropg-kd", encoder=encoder, withdrawn_at="2026-01-01T00:00Z")
    sweep_embeddings()
    assert (left(encoder), left(an_encoder(revision="2"))) == (0, len(tweets_of(alice)))


def test_those_of_one_that_a_trained_model_stands_for_stay(workspace, alice, encoder):
    trained(workspace, "ropg-kd", encoder=encoder, withdrawn_at="2026-01-01T00:00Z")
    trained(workspace, "ropg-kd", encoder=encoder)
    sweep_embeddings()
    assert left(encoder) == len(tweets_of(alice))


def test_some_go_at_a_time(workspace, alice, encoder, monkeypatch):
    monkeypatch.setattr(embedding_sweep, "_AT_ONCE", 1)
    monkeypatch.setattr(embedding_sweep, "_CHUNKS_A_SWEEP", 1)
    trained(workspace, "ropg-kd", encoder=encoder, withdrawn_at="2026-01-01T00:00Z")
    for _ in range(2):
        before = left(encoder)
        sweep_embeddings()
        assert left(encoder) == before - 1


def test_beat_runs_it():
    assert sweep_embeddings in sweeps._every
