"""A selector's folder: what is written is what is read, and nothing that could do harm is."""

import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertForSequenceClassification

from tests.workers.engine.models import small_t5
from tests.workers.engine.selectors import bert_config, pair_tokenizer, read, small_longformer, small_selector
from workers.engine.selector import load_selector, score, write_selector
from workers.engine.sources import ModelRefused


@pytest.fixture(scope="module")
def selector():
    return small_selector()


@pytest.fixture
def folder(tmp_path, selector):
    write_selector(tmp_path / "selector", selector)
    return tmp_path / "selector"


def change(folder, **settings) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def tensors(folder):
    return load_file(folder / "model.safetensors")


def save(folder, tensors) -> None:
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("make", [small_selector, small_longformer])
def test_a_written_selector_scores_as_before_to_the_byte(tmp_path, make):
    selector = make()
    write_selector(tmp_path / "s", selector)
    loaded = load_selector(tmp_path / "s")
    texts = read(1, count=6, post=True)
    assert score(loaded, texts).tobytes() == score(selector, texts).tobytes()
    assert (loaded.max_tokens, loaded.name) == (selector.max_tokens, "s")


def test_the_same_selector_is_the_same_files(tmp_path, selector):
    for name in ("one", "two"):
        write_selector(tmp_path / name, selector)
    files = {path.name for path in (tmp_path / "one").iterdir()}
    assert files == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_writing_again_writes_a_loaded_one_s_same_files(tmp_path, folder):
    write_selector(tmp_path / "again", load_selector(folder))
    for file in folder.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_what_lay_in_the_folder_is_gone(tmp_path, selector):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "pytorch_model.bin").write_bytes(b"old")
    write_selector(tmp_path / "s", selector)
    load_selector(tmp_path / "s")


def test_measurements_may_stand_beside_it(folder):
    (folder / "selector.json").write_text("{}")
    (folder / "README.md").write_text("A selector.")
    load_selector(folder)


def test_weights_that_would_be_unpickled_are_refused_and_never_opened(folder, tmp_path, selector):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelRefused, match=r"no model\.safetensors; other weight files are not read"):
        load_selector(folder)
    write_selector(folder, selector)
    (folder / "training_args.bin").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelRefused, match=r"training_args\.bin"):
        load_selector(folder)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_file_that_is_missing_is_refused(folder, file):
    (folder / file).unlink()
    with pytest.raises(ModelRefused):
        load_selector(folder)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("keep", [0, 3, 0.5, -1])
def test_a_file_that_was_cut_off_is_refused(folder, file, keep):
    data = (folder / file).read_bytes()
    (folder / file).write_bytes(data[: int(len(data) * keep) if 0 < keep < 1 else keep])
    if file == "tokenizer_config.json" and keep == -1:
        (folder / file).write_bytes(data.rstrip()[:-1])
    if file == "config.json" and keep == -1:
        (folder / file).write_bytes(data.rstrip()[:-1])
    with pytest.raises(ModelRefused):
        load_selector(folder)


def test_no_folder_is_refused(tmp_path):
    with pytest.raises(ModelRefused, match="no folder"):
        load_selector(tmp_path / "nothing")


@pytest.mark.parametrize("labels", [2, 5])
def test_a_head_of_more_than_one_unit_is_refused(tmp_path, labels):
    model = BertForSequenceClassification(bert_config(num_labels=labels))
    model.save_pretrained(tmp_path)
    pair_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelRefused, match="one unit"):
        load_selector(tmp_path)


def test_an_encoder_without_a_head_is_refused(tmp_path, selector):
    selector.model.bert.save_pretrained(tmp_path)
    pair_tokenizer().save_pretrained(tmp_path)
    change(tmp_path, id2label={"0": "LABEL_0"})
    with pytest.raises(ModelRefused, match="missing"):
        load_selector(tmp_path)


def test_a_model_that_is_no_encoder_is_refused(tmp_path):
    small_t5().save_pretrained(tmp_path)
    pair_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelRefused, match="an encoder such as BERT"):
        load_selector(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"auto_map": {"AutoModelForSequenceClassification": "elsewhere--model.Model"}},
        {"attn_implementation": "somebody/kernels"},
        {"_attn_implementation": "somebody/kernels"},
        {"_attn_implementation_internal": "somebody/kernels"},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
        {"fusion_config": {"x": True}},
    ],
)
def test_a_configuration_that_could_have_other_code_run_is_refused(folder, settings):
    change(folder, **settings)
    with pytest.raises(ModelRefused, match="has a setting"):
        load_selector(folder)


def test_a_tokenizer_that_could_have_other_code_run_is_refused_or_ignored(folder, tmp_path, selector):
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text()) | {"auto_map": {"AutoTokenizer": [None, "tokenization.Trap"]}}
    path.write_text(json.dumps(settings))
    (folder / "tokenization.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')")
    with pytest.raises(ModelRefused, match=r"tokenization\.py"):
        load_selector(folder)
    assert not (tmp_path / "sprung").exists()


def test_an_adapter_s_configuration_which_would_load_another_model_is_refused(folder):
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "somebody/else"}))
    with pytest.raises(ModelRefused, match="adapter_config"):
        load_selector(folder)


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden_size": 1 << 40},
        {"hidden_size": 64},
        {"num_hidden_layers": 3},
        {"num_hidden_layers": 1 << 60},
        {"num_hidden_layers": -1},
        {"vocab_size": 1 << 50},
        {"num_attention_heads": 0},
        {"hidden_act": "nothing"},
        {"model_type": "nothing"},
        {"model_type": None},
        {"num_labels": 1 << 60},
        {"id2label": {"0": "a", "1": "b"}},
        {"id2label": None, "num_labels": 3},
        {"max_position_embeddings": -5},
    ],
)
def test_a_configuration_that_does_not_fit_its_weights_is_refused(folder, settings):
    change(folder, **settings)
    with pytest.raises(ModelRefused):
        load_selector(folder)


@pytest.mark.parametrize("content", ["[]", '"x"', "[" * 60000, "{" + " " * (1 << 16) + "}"])
def test_a_configuration_that_is_none_is_refused(folder, content):
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelRefused):
        load_selector(folder)


def test_tensors_too_many_or_too_few_are_refused(folder):
    good = tensors(folder)
    save(folder, good | {"more": torch.zeros(1)})
    with pytest.raises(ModelRefused, match="1 unexpected"):
        load_selector(folder)
    save(folder, {name: tensor for name, tensor in good.items() if name != "classifier.bias"})
    with pytest.raises(ModelRefused, match="1 missing"):
        load_selector(folder)


def test_a_tensor_of_another_shape_or_type_is_refused(folder):
    good = tensors(folder)
    save(folder, good | {"classifier.bias": torch.zeros(2)})
    with pytest.raises(ModelRefused, match="another shape"):
        load_selector(folder)
    save(folder, good | {"classifier.bias": torch.zeros(1, dtype=torch.int64)})
    with pytest.raises(ModelRefused, match="type"):
        load_selector(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(folder, value):
    good = tensors(folder)
    save(folder, good | {"classifier.bias": torch.full((1,), value)})
    with pytest.raises(ModelRefused, match="not finite"):
        load_selector(folder)


@pytest.mark.parametrize(
    "data",
    [b"", b"nothing of the kind", (1 << 62).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"[]"],
)
def test_weights_that_are_no_safetensors_are_refused(folder, data):
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(ModelRefused):
        load_selector(folder)


def test_a_tokenizer_of_another_model_is_refused(folder):
    tokenizer = pair_tokenizer()
    tokenizer.add_tokens([f"more{number}" for number in range(9)])
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelRefused, match="more tokens than the model"):
        load_selector(folder)


def test_a_link_is_refused(folder, tmp_path):
    shutil.copy(folder / "model.safetensors", tmp_path / "elsewhere")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelRefused, match="plain files"):
        load_selector(folder)
