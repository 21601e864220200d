"""The selectors that come with the small models, and when they are recorded."""

import pytest

from lamp.catalogue import get_task
from retrieval_app.models import Encoder, TrainedModel
from retrieval_app.trained_models import trained_model_for
from tests.eval_app.stored import small_encoder, small_t5
from tests.people import TWEETS
from tests.workers.trained import a_selector_folder, pool_of
from training_app.adapters import ensure_base_model
from workers import loaded, small_models
from workers.engine.sources import ModelRefused, ModelUnavailable, folder_revision
from workers.shipped_selectors import record_shipped_selectors
from workers.trained_model_files import folder_of


@pytest.fixture
def notes(db):
    base = small_t5()
    return {
        "tasks": [TWEETS, "LaMP-4"],
        "pool": pool_of("none", "bm25", "contriever"),
        "base_model": base.name,
        "base_model_revision": base.revision,
        "documents": 4,
        "hyperparameters": {"epochs": 1},
        "seed": 0,
        "feedback_digest": "f" * 64,
        "metrics": {"dev": 0.5},
    }


@pytest.fixture
def ship(monkeypatch, tmp_path, notes):
    """Let selectors have come with Lamppost, both unless told otherwise."""

    def ship(seed=0, post=True, **changed):
        folders = {}
        for name in ("PRE", "POST") if post else ("PRE",):
            folders[name] = a_selector_folder(
                tmp_path / f"{name}-{seed}", seed=seed, notes={**notes, "reads": name.lower(), **changed}
            )
        for name in ("PRE", "POST"):
            monkeypatch.setattr(small_models, f"SMALL_SELECTOR_{name}", folders.get(name, tmp_path / "nowhere"))
        return folders

    return ship


def test_they_are_recorded_for_every_workspace_and_their_files_are_used_where_they_stand(ship, workspace, alice):
    folders = ship()
    record_shipped_selectors(small_t5())
    base = small_t5()
    for kind, folder in (("rspg-pre", folders["PRE"]), ("rspg-post", folders["POST"])):
        found = trained_model_for(
            workspace=workspace,
            kind=kind,
            task=TWEETS,
            task_version=get_task(TWEETS).version,
            base_model=f"{base.name}@{base.revision}",
        )
        assert (found.workspace, found.object_prefix, found.participant_count) == (None, "", 0)
        assert found.identity == found.content_digest == folder_revision(folder)
        assert (found.tasks, found.documents_wanted) == ([TWEETS, "LaMP-4"], 4)
        assert folder_of(found) == folder


def test_with_the_encoders_of_their_pools(ship):
    ship()
    Encoder.objects.all().delete()
    [pre, _] = record_shipped_selectors(small_t5())
    assert Encoder.objects.get() == small_encoder()
    assert pre.pool == pool_of("none", "bm25", "contriever")


def test_again_nothing_is_recorded_twice(ship):
    ship()
    first = record_shipped_selectors(small_t5())
    assert record_shipped_selectors(small_t5()) == first
    assert TrainedModel.objects.count() == 2


def test_where_none_came_none_is_recorded(ship):
    ship(post=False)
    assert [one.kind for one in record_shipped_selectors(small_t5())] == ["rspg-pre"]


@pytest.mark.parametrize(
    "changed",
    [
        {"base_model_revision": "another"},
        {"pool": [{"retriever": "bm25"}]},
        {"pool": [{"retriever": "bm25"}, {"retriever": "contriever", "encoder": "small", "encoder_revision": "old"}]},
        {"tasks": None},
    ],
    ids=["another base model", "no pool", "another encoder", "no tasks"],
)
def test_what_does_not_fit_is_left_out(ship, changed):
    ship(**changed)
    assert record_shipped_selectors(small_t5()) == []
    assert not TrainedModel.objects.exists()


@pytest.mark.parametrize("problem", [ModelUnavailable("no way there"), ModelRefused("another kind")], ids=str)
def test_where_the_encoder_of_a_pool_cannot_be_had_what_stands_stays_and_the_rest_goes_on(ship, monkeypatch, problem):
    ship()
    before = record_shipped_selectors(small_t5())

    def away(name):
        raise problem

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(loaded, "record_encoder", away)
        assert record_shipped_selectors(small_t5()) == []
    assert set(TrainedModel.objects.filter(withdrawn_at=None)) == set(before)


def test_a_pass_that_recorded_one_kind_leaves_the_other_alone(ship):
    ship()
    [_, post] = record_shipped_selectors(small_t5())
    ship(seed=1, post=False)
    [pre] = record_shipped_selectors(small_t5())
    assert set(TrainedModel.objects.filter(withdrawn_at=None)) == {pre, post}


def test_they_are_for_the_small_base_model_alone(ship):
    ship()
    assert record_shipped_selectors(ensure_base_model(name="some/t5", revision="1")) == []


def test_those_of_another_version_are_withdrawn_and_come_back_with_it(ship):
    ship()
    before = record_shipped_selectors(small_t5())
    ship(seed=1)
    after = record_shipped_selectors(small_t5())
    assert set(TrainedModel.objects.filter(withdrawn_at=None)) == set(after)
    ship()
    again = record_shipped_selectors(small_t5())
    assert [one.content_digest for one in again] == [one.content_digest for one in before]
    assert set(TrainedModel.objects.filter(withdrawn_at=None)) == set(again)
