"""Trained models' folders: stored, fetched once, and refused where they are not what was trained."""

import shutil
from threading import Thread
from types import SimpleNamespace

import pytest
from django.utils import timezone

from common.objects import get_store
from jobs.errors import Permanent
from retrieval_app.models import TrainedModel
from tests.workers.trained import a_selector, a_selector_folder
from users_app import caches
from workers import small_models
from workers.engine.sources import folder_revision
from workers.trained_model_files import folder_of, store_trained_model, trained_models_folder


@pytest.fixture(autouse=True)
def here(db, settings, tmp_path):
    """This machine's own folder of fetched models."""
    settings.VAR_DIR = tmp_path / "var"
    return settings.VAR_DIR / "trained-models"


@pytest.fixture
def record(workspace):
    return a_selector(workspace)


@pytest.fixture
def folder(tmp_path):
    return a_selector_folder(tmp_path / "selector")


def key_of(record, name):
    return record.object_prefix + name


def test_what_was_stored_is_fetched_whole(folder, record, here):
    fetched = folder_of(record)
    assert fetched == here / record.content_digest
    assert folder_revision(fetched) == record.content_digest == folder_revision(folder)
    assert (fetched / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_its_place_in_the_store_is_named_by_identity_and_contents(folder):
    stored = store_trained_model(folder, identity="ab" + "0" * 62)
    assert stored.prefix == f"trained-models/ab/ab{'0' * 62}/{folder_revision(folder)}/"
    assert stored.size_bytes == sum(info.size for info in get_store().list(stored.prefix))


def test_notes_for_people_are_not_stored(folder):
    (folder / "README.md").write_text("what it is")
    stored = store_trained_model(folder, identity="ab12")
    assert not any(info.key.endswith(".md") for info in get_store().list(stored.prefix))


@pytest.mark.parametrize("name", ["model.bin", "code.py", "adapter_config.json", ".hidden.json", "a folder"])
def test_what_is_no_part_of_a_model_is_not_stored(folder, name):
    if name == "a folder":
        (folder / name).mkdir()
    else:
        (folder / name).write_text("x")
    with pytest.raises(ValueError, match="no part of a trained model"):
        store_trained_model(folder, identity="ab12")


def test_a_link_out_of_the_folder_is_not_stored(folder, tmp_path):
    (tmp_path / "secret.json").write_text("{}")
    (folder / "more.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(ValueError, match="no part of a trained model"):
        store_trained_model(folder, identity="ab12")


def test_fetched_once_the_store_is_not_asked_again(record):
    fetched = folder_of(record)
    get_store().delete_prefix(record.object_prefix)
    assert folder_of(record) == fetched


def test_processes_that_fetch_at_once_find_the_same(record, here):
    found = []
    threads = [Thread(target=lambda: found.append(folder_of(record))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [here / record.content_digest] * 3
    assert [path.name for path in here.iterdir()] == [record.content_digest]


@pytest.mark.parametrize("harm", ["changed", "longer", "more", "outside", "code", "lost", "all lost"])
def test_what_is_not_what_was_trained_is_refused_and_leaves_nothing(record, here, harm):
    store = get_store()
    config = key_of(record, "config.json")
    if harm == "changed":
        store.put_bytes(config, store.get_bytes(config, max_bytes=100_000).replace(b"gelu", b"relu"))
    elif harm == "longer":
        store.put_bytes(key_of(record, "vocab.txt"), b"x" * record.size_bytes)
    elif harm == "more":
        for number in range(40):
            store.put_bytes(key_of(record, f"more-{number}.json"), b"{}")
    elif harm == "outside":
        store.put_bytes(key_of(record, "below/evil.json"), b"{}")
    elif harm == "code":
        store.put_bytes(key_of(record, "modeling.py"), b"raise SystemExit")
    elif harm == "lost":
        store.delete(config)
    else:
        store.delete_prefix(record.object_prefix)
    with pytest.raises(Permanent, match=rf"RSPG-Pre selector {record.pk} cannot be used: .* train it anew"):
        folder_of(record)
    assert list(here.iterdir()) == []


def test_a_folder_that_was_changed_on_this_machine_is_fetched_anew(record):
    fetched = folder_of(record)
    (fetched / "config.json").write_text("{}")
    assert folder_revision(folder_of(record)) == record.content_digest


def test_one_that_was_withdrawn_is_refused(record):
    record.withdrawn_at = timezone.now()
    with pytest.raises(Permanent, match=r"was withdrawn: it is not used any more"):
        folder_of(record)


class TestForgetting:
    def test_folders_of_models_that_are_gone_go_and_others_stay(self, workspace, record, here):
        gone = a_selector(workspace, seed=1)
        kept = folder_of(record)
        folder_of(gone)
        TrainedModel.objects.filter(pk=gone.pk).delete()
        caches.forget_gone()
        assert list(here.iterdir()) == [kept]

    def test_what_is_being_fetched_stays(self, here):
        (here / ".0123.part").mkdir(parents=True)
        caches.forget_gone()
        assert [path.name for path in here.iterdir()] == [".0123.part"]

    def test_what_is_finished_by_another_process_while_it_is_looked_at_is_no_obstacle(self, here, monkeypatch):
        part = here / ".0123.part"
        part.mkdir(parents=True)

        def finished():
            part.rename(here / "0123")
            return 0.0

        monkeypatch.setattr("workers.trained_model_files.time", SimpleNamespace(time=finished))
        caches.forget_gone()
        assert [path.name for path in here.iterdir()] == ["0123"]


class TestShipped:
    @pytest.fixture
    def shipped(self, monkeypatch, folder, record):
        monkeypatch.setattr(small_models, "SMALL_SELECTOR_PRE", folder)
        TrainedModel.objects.filter(pk=record.pk).update(workspace=None, object_prefix="")
        record.refresh_from_db()
        return record

    def test_it_is_used_where_it_stands(self, shipped, folder, here):
        assert folder_of(shipped) == folder
        assert trained_models_folder() == here
        assert not here.exists()

    @pytest.mark.parametrize("harm", ["changed", "gone"])
    def test_that_of_another_version_of_lamppost_is_refused(self, shipped, folder, harm):
        if harm == "changed":
            (folder / "selector.json").write_text("{}")
        else:
            shutil.rmtree(folder)
        with pytest.raises(Permanent, match="came with another version of Lamppost"):
            folder_of(shipped)
