"""What the sweep deletes of adapters and checkpoints, and what it leaves."""

import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from common.objects import ObjectStore, ObjectStoreUnavailable, get_store
from jobs import claims, services, sweeps
from jobs.models import Job
from tests.people import tweets_of
from tests.training_app.adapters import facts, plan_of
from training_app import object_sweep
from training_app.adapters import record_adapter, request_adapters
from training_app.kinds import TRAIN_ADAPTER
from training_app.models import Adapter
from training_app.object_keys import adapter_prefix, checkpoint_prefix
from training_app.object_sweep import sweep_adapters, sweep_checkpoints, sweep_now, sweep_objects
from users_app.models import Document, EndUser


@pytest.fixture(autouse=True)
def empty_store():
    """No adapters and checkpoints before and after."""
    for prefix in ("adapters/", "checkpoints/"):
        get_store().delete_prefix(prefix)
    yield
    for prefix in ("adapters/", "checkpoints/"):
        get_store().delete_prefix(prefix)


def keys():
    return [info.key for prefix in ("adapters/", "checkpoints/") for info in get_store().list(prefix)]


class TestCheckpoints:
    @pytest.fixture
    def wanted(self, alice):
        """The checkpoint of a training that is asked for; its key."""
        plan = plan_of(alice, tweets_of(alice))
        request_adapters(plans=[plan])
        key = checkpoint_prefix(identity=plan.identity) + "000000007-ab"
        get_store().put_bytes(key, b"as far as it is")
        return key

    def test_one_of_a_training_that_waits_or_runs_stays(self, wanted):
        sweep_checkpoints()
        assert keys() == [wanted]
        claims.claim(TRAIN_ADAPTER)
        sweep_checkpoints()
        assert keys() == [wanted]

    def test_one_of_a_training_that_has_ended_goes(self, wanted):
        services.cancel(*Job.objects.values_list("pk", flat=True))
        sweep_checkpoints()
        assert keys() == []

    def test_one_that_no_job_knows_of_goes(self, wanted):
        Job.objects.all().delete()
        sweep_checkpoints()
        assert keys() == []

    def test_one_of_an_erased_end_user_goes_whatever_becomes_of_the_job(self, wanted, alice):
        claims.claim(TRAIN_ADAPTER)
        EndUser.objects.filter(pk=alice.pk).delete()
        sweep_checkpoints()
        assert keys() == []

    def test_one_that_saw_a_deleted_document_goes(self, wanted, alice):
        Document.objects.filter(pk=tweets_of(alice)[3].pk).delete()
        sweep_checkpoints()
        assert keys() == []


class TestAdapters:
    @pytest.fixture
    def uploaded(self, alice):
        """An adapter's two files; the plan they belong to."""
        plan = plan_of(alice, tweets_of(alice))
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            get_store().put_bytes(adapter_prefix(identity=plan.identity, digest="c1") + name, b"weights")
        return plan

    @pytest.fixture
    def in_two_days(self, monkeypatch):
        """As if all that lies there had been lying for two days."""
        later = timezone.now() + timedelta(days=2)
        monkeypatch.setattr(object_sweep.timezone, "now", lambda: later)

    def sweep(self, plan):
        sweep_adapters(number=int(plan.identity[:2], 16))
        return len(keys())

    def test_files_that_nobody_recorded_within_a_day_go(self, uploaded, in_two_days):
        assert self.sweep(uploaded) == 0

    def test_files_that_were_uploaded_just_now_stay(self, uploaded):
        assert self.sweep(uploaded) == 2

    def test_files_of_a_recorded_adapter_stay_and_those_of_another_version_go(self, uploaded, alice, in_two_days):
        record_adapter(end_user=alice, plan=uploaded, facts=facts("c1"))
        get_store().put_bytes(adapter_prefix(identity=uploaded.identity, digest="c2") + "x", b"weights")
        assert self.sweep(uploaded) == 2
        assert all("/c1/" in key for key in keys())

    def test_files_of_a_training_under_way_stay(self, uploaded, in_two_days):
        request_adapters(plans=[uploaded])
        assert self.sweep(uploaded) == 2

    def test_files_of_an_erased_end_user_and_of_a_withdrawn_adapter_go(self, uploaded, alice, in_two_days):
        adapter = record_adapter(end_user=alice, plan=uploaded, facts=facts("c1"))
        Adapter.objects.filter(pk=adapter.pk).update(withdrawn_at=timezone.now())
        assert self.sweep(uploaded) == 0

    def test_another_slice_is_left_alone(self, uploaded, in_two_days):
        sweep_adapters(number=(int(uploaded.identity[:2], 16) + 1) % 256)
        assert len(keys()) == 2


def test_beats_sweep_looks_after_both(db, monkeypatch):
    looked = []
    monkeypatch.setattr(object_sweep, "sweep_checkpoints", lambda: looked.append("checkpoints"))
    monkeypatch.setattr(object_sweep, "sweep_adapters", lambda *, number: looked.append("adapters"))
    assert sweep_objects in sweeps._every
    sweep_objects()
    with object_sweep._under_way:  # held until the sweep's thread has ended
        assert looked == ["checkpoints", "adapters"]


def test_a_store_that_is_away_is_no_concern_of_the_other_sweeps(db, monkeypatch, caplog):
    def away(*_):
        raise ObjectStoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "list", away)
        sweep_now()
    assert "were not swept" in caplog.text


def test_a_store_that_does_not_answer_keeps_nobody_waiting(db, monkeypatch):
    answered = threading.Event()
    looks = []
    monkeypatch.setattr(object_sweep, "sweep_now", lambda: looks.append(answered.wait(10)))
    for _ in range(2):  # the second finds the first still at it
        sweep_objects()
    answered.set()
    with object_sweep._under_way:
        assert looks == [True]
