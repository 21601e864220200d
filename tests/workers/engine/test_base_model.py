"""Loading base models."""

import os
import subprocess
import sys
import threading

import pytest
import torch
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from tests.workers.engine.models import small_encoder, small_t5, words_tokenizer
from workers.engine.base_model import BaseModels, load_base_model, wrap
from workers.engine.sources import ModelRefused, ModelUnavailable


@pytest.fixture
def folder(tmp_path):
    small_t5().save_pretrained(tmp_path / "t5")
    words_tokenizer().save_pretrained(tmp_path / "t5")
    return tmp_path / "t5"


def test_a_folder_is_loaded_frozen_in_evaluation_mode(folder):
    base = load_base_model(str(folder))
    assert not base.model.training
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    assert base.dtype == torch.float32
    expected = small_t5().state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in base.model.state_dict().items())
    assert all(parameter.data_ptr() % 64 == 0 for parameter in base.model.parameters())


def test_weights_stored_in_bfloat16_run_in_float32_on_a_cpu(tmp_path):
    small_t5().to(torch.bfloat16).save_pretrained(tmp_path)
    words_tokenizer().save_pretrained(tmp_path)
    assert load_base_model(str(tmp_path)).dtype == torch.float32
    assert load_base_model(str(tmp_path), dtype=torch.bfloat16).adapter_dtype == torch.float32


def test_a_folder_s_revision_names_its_contents(folder):
    revision = load_base_model(str(folder)).revision
    assert len(revision) == 64
    (folder / "README.md").write_text("notes do not count")
    assert load_base_model(str(folder), revision=revision, name="small").name == "small"
    small_t5(seed=1).save_pretrained(folder)
    assert load_base_model(str(folder)).revision != revision
    with pytest.raises(ModelRefused, match="has changed"):
        load_base_model(str(folder), revision=revision)


def test_another_family_is_refused(tmp_path):
    small_encoder().model.save_pretrained(tmp_path)
    with pytest.raises(ModelRefused, match="is a bert model; base models are of the T5 family"):
        load_base_model(str(tmp_path))


def test_a_folder_without_safetensors_is_refused(folder):
    (folder / "model.safetensors").unlink()
    torch.save(small_t5().state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ModelRefused, match=r"must hold config\.json, model\.safetensors"):
        load_base_model(str(folder))


def test_a_folder_that_is_no_model_is_told_apart(tmp_path):
    with pytest.raises(ModelUnavailable, match=r"holds no config\.json"):
        load_base_model(str(tmp_path))


def test_an_unreachable_name_says_what_to_do(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable, match=r"reaches the hub.*give the folder's path"):
        load_base_model("nobody/no-such-model", revision="0123abc")


def test_a_tokenizer_that_ends_no_text_is_refused():
    tokenizer = words_tokenizer()
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, pad_token="<pad>", eos_token="</s>")
    bare.backend_tokenizer.post_processor = processors.ByteLevel()
    with pytest.raises(ModelRefused, match="end token"):
        wrap(small_t5(), bare, name="bare", revision="0")


def test_a_process_loads_a_model_once_however_many_ask(folder):
    models = BaseModels()
    found = []
    threads = [threading.Thread(target=lambda: found.append(models.get(str(folder)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(base is found[0] for base in found)


def test_the_least_recently_used_model_is_let_go(folder, tmp_path):
    small_t5(seed=1).save_pretrained(tmp_path / "other")
    words_tokenizer().save_pretrained(tmp_path / "other")
    models = BaseModels(limit=1)
    first = models.get(str(folder))
    assert models.get(str(tmp_path / "other")) is not first
    assert models.get(str(folder)) is not first


def test_a_changed_folder_is_loaded_again(folder):
    models = BaseModels()
    first = models.get(str(folder))
    small_t5(seed=1).save_pretrained(folder)
    assert models.get(str(folder)).revision != first.revision


FROM_THE_HUB_S_CACHE = """
from workers.engine.base_model import load_base_model
from workers.engine.encoder import encode, load_encoder
from workers.engine.sources import ModelUnavailable
print(load_base_model("someone/t5").revision)
print(load_base_model("someone/t5", revision="main").revision)
encoder = load_encoder("someone/encoder")
print(encoder.revision, encode(encoder, ["w1"]).shape[1])
try:
    load_base_model("someone/pickled")
except ModelUnavailable:
    print("refused")
"""


def fill_hub_cache(hub, name: str, commit: str, models: list, *, pickled: bool = False) -> None:
    repository = hub / f"models--someone--{name}"
    snapshot = repository / "snapshots" / commit
    for model in models:
        model.save_pretrained(snapshot)
    if pickled:
        torch.save(models[0].state_dict(), snapshot / "pytorch_model.bin")
        (snapshot / "model.safetensors").unlink()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)


def test_a_hub_model_is_recorded_by_its_commit_and_a_base_is_never_unpickled(tmp_path):
    """From the hub's cache on this machine, the hub itself out of reach; an encoder may be published as .bin only."""
    hub = tmp_path / "hub"
    fill_hub_cache(hub, "t5", "a" * 40, [small_t5(), words_tokenizer()])
    fill_hub_cache(hub, "encoder", "b" * 40, [small_encoder().model, words_tokenizer()], pickled=True)
    fill_hub_cache(hub, "pickled", "c" * 40, [small_t5(), words_tokenizer()], pickled=True)
    done = subprocess.run(
        [sys.executable, "-c", FROM_THE_HUB_S_CACHE],
        env={**os.environ, "HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["a" * 40, "a" * 40, f"{'b' * 40} 32", "refused"]


def test_weights_left_on_no_device_are_refused():
    with torch.device("meta"):
        model = type(small_t5())(small_t5().config)
    with pytest.raises(ModelRefused, match="does not fit the memory"):
        wrap(model, words_tokenizer(), name="huge", revision="0")
