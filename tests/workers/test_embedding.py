import numpy as np
import pytest

from jobs.models import Job
from lamp.catalogue import get_task
from lamp.queries import document_text
from retrieval_app.models import Embedding
from retrieval_app.services import ensure_encoder, request_embeddings
from tests.eval_app.stored import small_encoder
from tests.people import TWEETS, give, person, tweets_of
from workers import loaded
from workers.engine.encoder import encode


@pytest.fixture
def embed(in_process):
    """Embed what these people have, in one job; the job as it ended."""

    def embed(*people, encoder=None, workspace=None):
        request_embeddings(
            workspace=workspace or people[0].workspace,
            task=TWEETS,
            encoder=encoder or small_encoder(),
            end_users=[(end_user.pk, 1) for end_user in people],
            origin="",
        )
        in_process("embed_documents")
        return Job.objects.filter(kind="embed_documents").latest("pk")

    return embed


def vectors_of(end_user):
    stored = Embedding.objects.filter(end_user=end_user).order_by("document_id")
    return np.array([one.vector for one in stored], dtype=np.float32)


def test_each_document_gets_the_vector_of_its_text(alice, embed):
    assert embed(alice).result == {"documents": 5}
    task = get_task(TWEETS)
    texts = [document_text(task, document.fields) for document in tweets_of(alice)]
    np.testing.assert_array_equal(vectors_of(alice), encode(loaded.encoder(small_encoder()), texts))


def test_who_else_is_embedded_changes_no_byte(alice, bob, embed):
    embed(alice)
    alone = vectors_of(alice).tobytes()
    Embedding.objects.all().delete()
    embed(bob, alice)
    assert vectors_of(alice).tobytes() == alone


def test_what_stands_is_not_embedded_again(alice, embed):
    embed(alice)
    give(alice, [{"text": "one more", "date": "2020"}])
    assert embed(alice).result == {"documents": 1}
    assert embed(alice).result == {"documents": 0}


def test_people_of_another_workspace_are_passed_over(alice, mallory, embed):
    embed(alice, mallory)
    assert not Embedding.objects.filter(end_user=mallory).exists()


def test_an_empty_document_has_a_vector_too(workspace, embed):
    silent = person(workspace, "silent", [{"text": "", "date": "2020"}])
    embed(silent)
    assert vectors_of(silent).shape == (1, small_encoder().dimension)


def test_an_encoder_of_another_revision_than_is_here_embeds_nothing(alice, embed):
    other = ensure_encoder(name="small", revision="0" * 64, dimension=small_encoder().dimension)
    job = embed(alice, encoder=other)
    assert job.state == "failed"
    assert job.error_type.endswith("ModelRefused")
    assert not Embedding.objects.exists()
