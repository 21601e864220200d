"""What the sweep deletes of trainings and trained models, and what it leaves."""

import threading
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from common.objects import ObjectStore, ObjectStoreUnavailable, get_store
from eval_app import model_sweep
from eval_app.model_sweep import sweep_checkpoints, sweep_model_objects, sweep_models, sweep_now
from eval_app.models import ModelTraining
from jobs import sweeps
from retrieval_app.object_keys import checkpoints_prefix, trained_model_prefix
from tests.eval_app.trained import a_trained_model, a_training

PREFIXES = ("trained-models/", "model-checkpoints/")
PLACE = {"identity": "ab" * 32, "digest": "cd" * 32}


@pytest.fixture(autouse=True)
def empty_store():
    """Nothing of trainings before and after."""
    for prefix in PREFIXES:
        get_store().delete_prefix(prefix)
    yield
    for prefix in PREFIXES:
        get_store().delete_prefix(prefix)


def keys():
    return [info.key for prefix in PREFIXES for info in get_store().list(prefix)]


class TestCheckpoints:
    @pytest.fixture
    def training(self, dev):
        training = a_training(dev.dataset, state="training")
        get_store().put_bytes(checkpoints_prefix(training_id=training.pk) + "000000007-ab", b"as far as it is")
        return training

    @pytest.mark.parametrize("state", ["feedback", "training"])
    def test_one_of_an_open_training_stays(self, training, state):
        ModelTraining.objects.update(state=state)
        sweep_checkpoints()
        assert len(keys()) == 1

    @pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
    def test_one_of_an_ended_training_goes(self, training, state):
        ModelTraining.objects.update(state=state, finished_at=Now())
        sweep_checkpoints()
        assert keys() == []

    def test_one_of_a_workspace_that_is_gone_goes(self, training):
        training.workspace.delete()
        sweep_checkpoints()
        assert keys() == []

    def test_what_is_none_stays(self, db):
        for key in ("model-checkpoints/notes.txt", "model-checkpoints/mine/1"):
            get_store().put_bytes(key, b"")
        sweep_checkpoints()
        assert len(keys()) == 2


class TestModels:
    @pytest.fixture
    def files(self):
        get_store().put_bytes(trained_model_prefix(**PLACE) + "model.safetensors", b"weights")

    @pytest.fixture
    def long_after(self, monkeypatch):
        monkeypatch.setattr(model_sweep, "_UNRECORDED_AT_MOST", -timedelta(minutes=1))

    def of(self, workspace, **fields):
        told = {"identity": PLACE["identity"], "content_digest": PLACE["digest"], **fields}
        return a_trained_model(workspace, object_prefix=trained_model_prefix(**PLACE), **told)

    def test_those_of_a_model_in_use_stay(self, workspace, files, long_after):
        self.of(workspace)
        sweep_models()
        assert len(keys()) == 1

    def test_so_do_those_that_were_uploaded_a_moment_ago(self, db, files):
        sweep_models()
        assert len(keys()) == 1

    def test_those_that_no_model_is_recorded_for_go(self, db, files, long_after):
        sweep_models()
        assert keys() == []

    def test_so_do_those_of_a_withdrawn_one(self, workspace, files, long_after):
        self.of(workspace, withdrawn_at=timezone.now())
        sweep_models()
        assert keys() == []

    def test_and_those_of_another_content_of_the_same_training(self, workspace, files, long_after):
        self.of(workspace, content_digest="ef" * 32)
        sweep_models()
        assert keys() == []

    def test_those_of_a_deleted_workspace_go(self, workspace, files, long_after):
        self.of(workspace)
        workspace.delete()
        sweep_models()
        assert keys() == []


def test_a_store_that_is_away_is_tried_again_by_the_next_sweep(db, monkeypatch, caplog):
    def away(*_):
        raise ObjectStoreUnavailable("away")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(ObjectStore, "list", away)
        sweep_now(models=True)
    assert "were not swept: ObjectStoreUnavailable" in caplog.text


def test_the_adapters_sweep_leaves_them_alone(db):
    from training_app.object_sweep import sweep_adapters
    from training_app.object_sweep import sweep_checkpoints as sweep_checkpoints_of_adapters

    get_store().put_bytes(trained_model_prefix(**PLACE) + "model.safetensors", b"weights")
    get_store().put_bytes(checkpoints_prefix(training_id=1) + "000000007-ab", b"as far as it is")
    sweep_checkpoints_of_adapters()
    sweep_adapters(number=0xAB)
    assert len(keys()) == 2


def test_beat_runs_it_in_a_thread_of_its_own(db, monkeypatch):
    began = threading.Event()
    monkeypatch.setattr(model_sweep, "sweep_now", lambda *, models: began.set())
    sweep_model_objects()
    assert began.wait(5)
    assert sweep_model_objects in sweeps._every
