"""Adapters as plain PEFT folders: what is written, and what is refused."""

import json
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from tests.workers.engine.models import pairs_of, prompts, small_base, small_t5, words_tokenizer
from workers.engine.adapter_files import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    AdapterRefused,
    folder_digest,
    read_peft_folder,
    write_peft_folder,
)
from workers.engine.adapters import AdapterWeights
from workers.engine.base_model import BaseModel
from workers.engine.generation import GenerationRow, generate
from workers.engine.training import train_adapter

PLENTY = 1 << 20

IN_A_FRESH_PROCESS = """
import json, sys
import torch
from peft import PeftModel
from transformers import AutoTokenizer, T5ForConditionalGeneration
torch.set_num_threads(1)
base, prompts, folders = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
tokenizer = AutoTokenizer.from_pretrained(base)
answers = {}
for folder in ["", *folders]:
    model = T5ForConditionalGeneration.from_pretrained(base).eval()
    if folder:
        model = PeftModel.from_pretrained(model, folder).eval()
    source = tokenizer(prompts, padding=True, return_tensors="pt")
    output = model.generate(
        input_ids=source.input_ids, attention_mask=source.attention_mask, num_beams=4, max_new_tokens=10
    )
    answers[folder] = tokenizer.batch_decode(output, skip_special_tokens=True)
print(json.dumps(answers))
"""


@pytest.fixture
def folder(tmp_path: Path, base: BaseModel, alice) -> Path:
    write_peft_folder(tmp_path / "adapter", alice, base)
    return tmp_path / "adapter"


def read(folder: Path, base: BaseModel) -> AdapterWeights:
    return read_peft_folder(folder, base=base, max_bytes=PLENTY)


def test_users_trained_in_one_process_reload_in_plain_peft_with_equal_output(tmp_path, base, alice, bob, carol):
    small_t5().save_pretrained(tmp_path / "base")
    words_tokenizer().save_pretrained(tmp_path / "base")
    people = {"alice": alice, "bob": bob, "carol": carol}
    for name, person in people.items():
        write_peft_folder(tmp_path / name, person, base)
    asked = prompts(21, count=8)
    command = [sys.executable, "-c", IN_A_FRESH_PROCESS, "base", json.dumps(asked), *people]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    by_peft = json.loads(done.stdout.splitlines()[-1])

    served = {
        name: [
            answer.text
            for answer in generate(base, [GenerationRow(prompt, weights) for prompt in asked], max_output_tokens=10)
        ]
        for name, weights in {"": None, **{name: read(tmp_path / name, base) for name in people}}.items()
    }
    assert by_peft == served
    assert len({tuple(answers) for answers in served.values()}) == 4


def test_peft_finds_every_key_and_no_other(folder, base, alice):
    model = PeftModel.from_pretrained(small_t5(), folder)
    loaded = model.load_adapter(folder, adapter_name="again")
    assert [key for key in loaded.missing_keys if "lora" in key] == []
    assert loaded.unexpected_keys == []
    config = LoraConfig(r=4, lora_alpha=32, target_modules=["q", "k", "v"], task_type="SEQ_2_SEQ_LM")
    get_peft_model(small_t5(), config).save_pretrained(folder.parent / "by-peft")
    assert load_file(folder / WEIGHTS_FILE).keys() == load_file(folder.parent / "by-peft" / WEIGHTS_FILE).keys()


def test_keys_never_nest_however_many_users_were_trained(tmp_path, briefly):
    base = small_base()
    for user in range(5):
        adapter = train_adapter(base, pairs=pairs_of(f"user {user}", count=2), hyperparameters=briefly, seed=user)
        write_peft_folder(tmp_path / str(user), adapter, base)
        keys = load_file(tmp_path / str(user) / WEIGHTS_FILE).keys()
        assert keys == base.projections.shapes(4).keys()
        assert all(key.count("base_model.model.") == 1 for key in keys)


def test_written_in_float32_the_values_come_back_exactly(folder, base, alice):
    found = read(folder, base)
    assert (found.rank, found.alpha) == (4, 32.0)
    assert found.tensors.keys() == alice.weights.keys()
    assert all(torch.equal(found.tensors[name], alice.weights[name]) for name in found.tensors)
    assert found.digest == folder_digest(folder)


def test_bfloat16_halves_the_size_and_rounds_the_values(tmp_path, base, alice):
    write_peft_folder(tmp_path / "full", alice, base)
    write_peft_folder(tmp_path / "half", alice, base, dtype="bfloat16")
    found = read(tmp_path / "half", base)
    assert all(torch.equal(found.tensors[name], alice.weights[name].bfloat16()) for name in found.tensors)
    assert found.nbytes * 2 == read(tmp_path / "full", base).nbytes
    assert PeftModel.from_pretrained(small_t5(), tmp_path / "half")
    with pytest.raises(ValueError, match="float32 or bfloat16"):
        write_peft_folder(tmp_path / "other", alice, base, dtype="float16")


def test_the_same_adapter_gives_the_same_bytes(tmp_path, base, alice):
    one = write_peft_folder(tmp_path / "one", alice, base)
    shuffled = replace(alice, weights=dict(reversed(alice.weights.items())), seconds=1.0)
    assert write_peft_folder(tmp_path / "other", shuffled, base) == one
    assert write_peft_folder(tmp_path / "bob", replace(alice, weights=shuffled.weights), base) == one


def test_what_peft_itself_saves_is_read(tmp_path, base):
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q", "k", "v"], task_type="SEQ_2_SEQ_LM")
    get_peft_model(small_t5(), config).save_pretrained(tmp_path / "adapter")
    (tmp_path / "adapter" / "README.md").unlink(missing_ok=True)
    assert read(tmp_path / "adapter", base).scale == 2.0


def change_config(folder: Path, **changes: object) -> None:
    path = folder / CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"peft_type": "LOHA"}, "peft_type"),
        ({"peft_type": None}, "peft_type"),
        ({"r": 0}, "rank"),
        ({"r": 257}, "rank"),
        ({"r": True}, "rank"),
        ({"r": "4"}, "rank"),
        ({"r": 8}, "shape"),
        ({"lora_alpha": float("nan")}, "lora_alpha"),
        ({"lora_alpha": -1}, "lora_alpha"),
        ({"lora_alpha": 1e300}, "lora_alpha"),
        ({"target_modules": ["q", "v"]}, "target_modules"),
        ({"target_modules": ".*"}, "target_modules"),
        ({"target_modules": [["q"], "k", "v"]}, "target_modules"),
        ({"use_dora": True}, "use_dora"),
        ({"use_rslora": 1}, "use_rslora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"q": 2}}, "rank_pattern"),
        ({"auto_mapping": {"parent_library": "os"}}, "auto_mapping"),
        ({"task_type": "CAUSAL_LM"}, "task_type"),
        ({"a_setting_of_tomorrow": {"on": True}}, "a_setting_of_tomorrow"),
    ],
)
def test_settings_that_are_not_plain_lora_are_refused(folder, base, changes, problem):
    change_config(folder, **changes)
    with pytest.raises(AdapterRefused, match=problem):
        read(folder, base)


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b"[" * 5000, b"\xff\xfe", b'{"r": 4}', b" " * 70000])
def test_a_configuration_that_is_none_is_refused(folder, base, content):
    (folder / CONFIG_FILE).write_bytes(content)
    with pytest.raises(AdapterRefused):
        read(folder, base)


def change_tensors(folder: Path, change) -> None:
    tensors = load_file(folder / WEIGHTS_FILE)
    change(tensors)
    save_file(tensors, folder / WEIGHTS_FILE)


def first(tensors: dict[str, torch.Tensor]) -> str:
    return sorted(tensors)[0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda tensors: tensors.pop(first(tensors)), "1 missing, 0 unexpected"),
        (lambda tensors: tensors.update(more=torch.zeros(1)), "0 missing, 1 unexpected"),
        (
            lambda tensors: tensors.update({f"base_model.model.{first(tensors)}": tensors.pop(first(tensors))}),
            "1 missing, 1 unexpected",
        ),
        (lambda tensors: tensors.update({first(tensors): torch.zeros(4, 31)}), "shape"),
        (lambda tensors: tensors.update({first(tensors): torch.zeros(4, 32, dtype=torch.int32)}), "type"),
        (lambda tensors: tensors.update({first(tensors): torch.full((4, 32), float("nan"))}), "not finite"),
        (lambda tensors: tensors.update({first(tensors): torch.full((4, 32), float("inf"))}), "not finite"),
        (lambda tensors: tensors.update(huge=torch.zeros(200_000)), "larger than"),
    ],
)
def test_tensors_that_are_not_those_of_this_base_model_are_refused(folder, base, change, problem):
    change_tensors(folder, change)
    with pytest.raises(AdapterRefused, match=problem):
        read(folder, base)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04\x95",
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,999999]}}'.ljust(60),
    ],
)
def test_a_weights_file_that_is_none_is_refused(folder, base, content):
    (folder / WEIGHTS_FILE).write_bytes(content)
    with pytest.raises(AdapterRefused):
        read(folder, base)


def test_a_pickle_beside_the_weights_is_refused(folder, base):
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(AdapterRefused, match="exactly"):
        read(folder, base)


def test_links_missing_files_and_folders_are_refused(folder, base, tmp_path):
    weights = (folder / WEIGHTS_FILE).rename(tmp_path / "elsewhere")
    with pytest.raises(AdapterRefused, match="exactly"):
        read(folder, base)
    (folder / WEIGHTS_FILE).symlink_to(weights)
    with pytest.raises(AdapterRefused, match="plain files"):
        read(folder, base)
    with pytest.raises(AdapterRefused, match="no folder"):
        read(tmp_path / "nowhere", base)


def test_a_folder_larger_than_allowed_is_refused(folder, base):
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert read_peft_folder(folder, base=base, max_bytes=size)
    with pytest.raises(AdapterRefused, match="larger than"):
        read_peft_folder(folder, base=base, max_bytes=size - 1)


def test_refusals_show_no_more_than_a_name(folder, base):
    change_config(folder, **{"x" * 5000: "secret"})
    with pytest.raises(AdapterRefused) as refused:
        read(folder, base)
    assert len(str(refused.value)) < 200
    assert "secret" not in str(refused.value)
