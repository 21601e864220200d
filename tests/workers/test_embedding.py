import numpy as np
import pytest

from jobs.models import Job
from lamp.catalogue import get_task
from lamp.queries import document_text
from retrieval_app.models import Embedding, Encoder
from retrieval_app.services import ensure_encoder, request_embeddings
from tests.eval_app.stored import small_encoder
from tests.people import TWEETS, give, person, tweets_of
from users_app.profiles import NewDocument, put_documents
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


class TestAJobThatNamesItsEncoderAsTheSettingsDo:
    @pytest.fixture
    def added(self, alice, in_process):
        """Give Alice a document through the profile's own door, and run what that asks for; the job."""

        def added():
            put_documents(
                workspace=alice.workspace, end_user=alice, documents=[NewDocument(TWEETS, "new", {"text": "one more"})]
            )
            in_process("embed_documents")
            return Job.objects.get(kind="embed_documents")

        return added

    def test_records_the_encoder_where_nobody_has_before(self, alice, added, settings):
        settings.DEFAULT_BASE_MODEL = "small"
        assert added().result == {"documents": 6}
        [encoder] = Encoder.objects.all()
        assert (encoder.name, Embedding.objects.filter(end_user=alice, encoder=encoder).count()) == ("small", 6)

    def test_uses_the_one_that_is_recorded(self, added, settings):
        settings.DEFAULT_BASE_MODEL = "small"
        recorded = small_encoder()
        added()
        assert list(Encoder.objects.all()) == [recorded]

    def test_is_done_where_there_is_no_such_encoder(self, added, settings, tmp_path):
        """Everything but dense retrieval works without."""
        settings.DEFAULT_BASE_MODEL, settings.DEFAULT_ENCODER = "some/t5", str(tmp_path)
        job = added()
        assert (job.state, job.result) == ("done", {"documents": 0, "encoder": "unavailable"})
