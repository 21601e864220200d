import pytest

from common.objects import get_store
from jobs.models import Job
from tests.people import OF_ALICE, tweets_of
from tests.workers.asked import ask_for_adapter, plan
from training_app.adapters import request_adapters
from training_app.models import Adapter
from workers.adapter_cache import download_adapter, fetch_adapter
from workers.engine.adapter_files import folder_digest
from workers.loaded import base_model


@pytest.fixture
def train(in_process):
    """Train the adapter of all of a user's tweets; the adapter."""

    def train(end_user, **changed):
        identity = ask_for_adapter(end_user, **changed)
        in_process("train_adapter")
        return Adapter.objects.get(identity=identity)

    return train


def last_job():
    return Job.objects.filter(kind="train_adapter").latest("pk")


def test_an_adapter_is_recorded_with_what_made_it_and_how_it_went(alice, train):
    adapter = train(alice, epochs=3)
    assert adapter.document_ids == [document.pk for document in tweets_of(alice)]
    assert (adapter.end_user, adapter.rank, adapter.steps, len(adapter.loss_curve)) == (alice, 8, 3, 3)
    assert adapter.training_seconds > 0
    assert {"torch", "peft", "python"} <= set(adapter.versions)
    assert adapter.hardware["cores"] >= 1
    assert last_job().result["trained"] is True


def test_its_files_are_a_plain_peft_folder_in_the_object_store(alice, train, tmp_path):
    adapter = train(alice)
    files = list(get_store().list(adapter.object_prefix))
    assert [file.key.rpartition("/")[2] for file in files] == ["adapter_config.json", "adapter_model.safetensors"]
    assert sum(file.size for file in files) == adapter.size_bytes
    download_adapter(adapter, folder=tmp_path)
    assert folder_digest(tmp_path) == adapter.content_digest


def test_the_files_are_those_of_an_adapter_of_the_base_model(alice, train):
    adapter = train(alice)
    weights = fetch_adapter(adapter, base=base_model(adapter.base_model, dtype="float32"))
    assert (weights.rank, weights.digest) == (8, adapter.content_digest)


def test_where_the_files_lie_names_the_adapter_and_no_person(alice, train):
    adapter = train(alice)
    assert adapter.object_prefix == (f"adapters/{adapter.identity[:2]}/{adapter.identity}/{adapter.content_digest}/")


def test_in_exact_mode_the_same_inputs_make_the_same_bytes(alice, bob, train):
    first = train(alice, exact=True).content_digest
    Adapter.objects.all().delete()
    train(bob)
    assert train(alice, exact=True).content_digest == first


@pytest.mark.parametrize(
    ("changed", "stored"),
    [({}, "bfloat16"), ({"stored_dtype": "float32"}, "float32"), ({"exact": True}, "float32")],
    ids=str,
)
def test_its_files_are_of_the_precision_that_it_is_named_by(alice, train, settings, changed, stored):
    settings.ADAPTER_DTYPE = "bfloat16"
    adapter = train(alice, **changed)
    weights = fetch_adapter(adapter, base=base_model(adapter.base_model, dtype="float32"))
    assert adapter.stored_dtype == stored
    assert {str(tensor.dtype) for tensor in weights.tensors.values()} == {f"torch.{stored}"}


def test_half_the_precision_is_half_the_size(alice, train):
    whole, half = (train(alice, stored_dtype=dtype).size_bytes for dtype in ("float32", "bfloat16"))
    assert 0.5 < half / whole < 0.55


@pytest.mark.parametrize("changed", [{"rank": 4}, {"epochs": 3}, {"learning_rate": 1e-3}], ids=str)
def test_other_settings_make_another_adapter(alice, train, changed):
    # The first step of the schedule has a rate of zero, so one is not enough.
    assert train(alice, **{"epochs": 2, **changed}).content_digest != train(alice, epochs=2).content_digest


def test_what_stands_is_not_trained_again(alice, train, in_process):
    adapter = train(alice)
    ask_for_adapter(alice)
    in_process("train_adapter")
    assert last_job().result == {"trained": False}
    assert Adapter.objects.get() == adapter


class TestRefused:
    @pytest.fixture
    def refused(self, in_process):
        """Run a job whose payload was changed; the error of the job, which must have failed for good at once."""

        def refused(end_user, **payload):
            request_adapters(plans=[plan(end_user)])
            job = last_job()
            Job.objects.filter(pk=job.pk).update(payload={**job.payload, **payload})
            in_process("train_adapter")
            job = last_job()
            assert (job.state, job.attempts) == ("failed", 1)
            assert not Adapter.objects.exists()
            return job.error_message

        return refused

    def test_another_users_document(self, alice, bob, refused):
        ids = [document.pk for document in (*tweets_of(alice), tweets_of(bob)[0])]
        message = refused(alice, document_ids=ids)
        assert message.endswith(f"is not one of end user {alice.pk} for LaMP-7.")

    def test_fewer_documents_than_the_adapter_is_named_by(self, alice, refused):
        message = refused(alice, document_ids=[tweets_of(alice)[0].pk])
        assert "is not the one the adapter was asked from" in message

    def test_other_settings_than_the_adapter_is_named_by(self, alice, refused):
        assert "is not the one the adapter was asked from" in refused(alice, seed=1)

    def test_an_end_user_of_another_workspace(self, alice, mallory, in_process):
        request_adapters(plans=[plan(alice)])
        Job.objects.update(workspace_id=mallory.workspace_id)
        in_process("train_adapter")
        assert (last_job().state, last_job().error_message) == ("failed", "The end user of this adapter is gone.")

    def test_an_end_user_who_has_gone(self, alice, in_process):
        request_adapters(plans=[plan(alice)])
        alice.delete()
        in_process("train_adapter")
        assert last_job().error_message == "The end user of this adapter is gone."


def test_no_error_quotes_a_document(alice, in_process):
    ask_for_adapter(alice, learning_rate=1e15, epochs=3)
    in_process("train_adapter")
    job = last_job()
    assert job.state == "failed"
    assert "the loss is not finite at step" in job.error_message
    # The same inputs would diverge again.
    assert job.attempts == 1
    assert not any(tweet["text"] in job.error_message + job.error_trace for tweet in OF_ALICE)
