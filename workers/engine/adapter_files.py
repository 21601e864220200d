"""An adapter as a plain PEFT folder: `adapter_config.json` and `adapter_model.safetensors`.

What is written is the same bytes for the same adapter (sorted keys, no times, no paths of the machine). What is read
may come from anywhere: sizes, names, the configuration, and every tensor's name, shape, type and values are checked
against the base model before anything is used, and nothing is ever unpickled.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from workers.engine.adapters import AdapterWeights
from workers.engine.base_model import BaseModel
from workers.engine.hyperparameters import MAX_RANK
from workers.engine.lora import TARGETS
from workers.engine.training import TrainedAdapter

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
STORED_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_MAX_CONFIG_BYTES = 1 << 16
# What safetensors needs beside the values: a header entry of each tensor and some slack.
_HEADER_BYTES_PER_TENSOR = 512
_HEADER_SLACK_BYTES = 1 << 16
_READABLE_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# peft settings that change what the weights mean: only these values are plain LoRA.
_PLAIN: dict[str, tuple[Any, ...]] = {
    "alora_invocation_tokens": (None,),
    "alpha_pattern": ({}, None),
    "arrow_config": (None,),
    "auto_mapping": (None,),
    "bias": ("none",),
    "corda_config": (None,),
    "ensure_weight_tying": (False, None),
    "eva_config": (None,),
    "exclude_modules": (None, []),
    "fan_in_fan_out": (False,),
    "init_lora_weights": (True, False),
    "kasa_config": (None,),
    "layer_replication": (None,),
    "layers_pattern": (None, []),
    "layers_to_transform": (None,),
    "loftq_config": ({}, None),
    "lora_bias": (False,),
    "lora_ga_config": (None,),
    "megatron_config": (None,),
    "megatron_core": ("megatron.core", None),
    "modules_to_save": (None, []),
    "monteclora_config": (None,),
    "peft_type": ("LORA",),
    "rank_pattern": ({}, None),
    "target_parameters": (None, []),
    "task_type": ("SEQ_2_SEQ_LM", None),
    "trainable_token_indices": (None,),
    "use_bdlora": (None, False),
    "use_dora": (False,),
    "use_qalora": (False,),
    "use_rslora": (False,),
    "velora_config": (None,),
}
# Settings that may stand there and change nothing of the result.
_FREE = {
    "base_model_name_or_path",
    "inference_mode",
    "lora_alpha",
    "lora_dropout",
    "peft_version",
    "qalora_group_size",
    "r",
    "revision",
    "runtime_config",
    "target_modules",
}


class AdapterRefused(Exception):
    """A folder that is no adapter of this base model; the message names what is wrong and shows no content of it."""


def write_peft_folder(folder: Path, adapter: TrainedAdapter, base: BaseModel, *, dtype: str = "float32") -> str:
    """Write the adapter so that `peft.PeftModel.from_pretrained(model, folder)` loads it; return the folder's digest.

    `dtype` is what the values are stored in: float32 keeps them exactly, bfloat16 halves the size.
    """
    if dtype not in STORED_DTYPES:
        raise ValueError(f"adapters are stored in {' or '.join(STORED_DTYPES)}")
    stored = {name: tensor.to(STORED_DTYPES[dtype]).contiguous() for name, tensor in sorted(adapter.weights.items())}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_bytes(_config_bytes(adapter, base))
    (folder / WEIGHTS_FILE).write_bytes(save_safetensors(stored, metadata={"format": "pt"}))
    return folder_digest(folder)


def _config_bytes(adapter: TrainedAdapter, base: BaseModel) -> bytes:
    hyperparameters = adapter.hyperparameters
    alpha = hyperparameters.alpha
    config = {
        "base_model_name_or_path": base.name,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": int(alpha) if float(alpha).is_integer() else alpha,
        "lora_dropout": hyperparameters.dropout,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": hyperparameters.rank,
        "revision": base.revision,
        "target_modules": list(TARGETS),
        "task_type": "SEQ_2_SEQ_LM",
        "use_dora": False,
        "use_rslora": False,
    }
    return (json.dumps(config, indent=2, sort_keys=True) + "\n").encode()


def folder_digest(folder: Path) -> str:
    """A sha256 over both files' names, sizes and contents (hexadecimal)."""
    content = hashlib.sha256()
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        data = (folder / name).read_bytes()
        content.update(f"{name}\0{len(data)}\0".encode())
        content.update(data)
    return content.hexdigest()


def read_peft_folder(folder: Path, *, base: BaseModel, max_bytes: int) -> AdapterWeights:
    """Read an adapter of this base model, whatever wrote it.

    Args:
        max_bytes: the most that both files may take together.

    Raises:
        AdapterRefused: a file too many, too few or too large, a setting that is not plain LoRA on q, k and v, or a
            tensor whose name, shape, type or values are not those of an adapter of this base model.
    """
    _check_files(folder, max_bytes=max_bytes)
    config = _read_config(folder / CONFIG_FILE)
    rank, alpha = _rank_and_alpha(config)
    shapes = base.projections.shapes(rank)
    _refuse_unless(_targets(config) == set(TARGETS), f"its target_modules are not {', '.join(TARGETS)}")
    most = 4 * sum(math.prod(shape) for shape in shapes.values()) + _HEADER_BYTES_PER_TENSOR * len(shapes)
    data = _read_bounded(folder / WEIGHTS_FILE, limit=most + _HEADER_SLACK_BYTES)
    try:
        tensors = load_safetensors(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise AdapterRefused(f"{WEIGHTS_FILE} is no safetensors file") from error
    _check_tensors(tensors, shapes)
    return AdapterWeights(
        # In the order of the base model's projections, which the file does not keep.
        tensors={name: tensors[name] for name in shapes},
        rank=rank,
        alpha=alpha,
        digest=folder_digest(folder),
    )


def _check_files(folder: Path, *, max_bytes: int) -> None:
    _refuse_unless(folder.is_dir(), "it is no folder")
    names = {path.name for path in folder.iterdir()}
    _refuse_unless(names == {CONFIG_FILE, WEIGHTS_FILE}, f"it must hold exactly {CONFIG_FILE} and {WEIGHTS_FILE}")
    paths = [folder / CONFIG_FILE, folder / WEIGHTS_FILE]
    _refuse_unless(all(path.is_file() and not path.is_symlink() for path in paths), "its entries must be plain files")
    _refuse_unless(sum(path.stat().st_size for path in paths) <= max_bytes, f"it is larger than {max_bytes} bytes")


def _read_bounded(path: Path, *, limit: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(limit + 1)
    _refuse_unless(len(data) <= limit, f"{path.name} is larger than an adapter of its rank can be")
    return data


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(_read_bounded(path, limit=_MAX_CONFIG_BYTES).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise AdapterRefused(f"{CONFIG_FILE} is no JSON") from error
    _refuse_unless(isinstance(config, dict), f"{CONFIG_FILE} is no JSON object")
    _refuse_unless(config.get("peft_type") == "LORA", "its peft_type is not LORA")
    for name, value in config.items():
        if name in _FREE:
            continue
        # A setting of a later peft is harmless only where it is switched off.
        allowed = _PLAIN.get(name, (None, False, {}, []))
        _refuse_unless(
            any(value is plain or (value == plain and type(value) is type(plain)) for plain in allowed),
            f"its setting {name[:60]!r} is not that of plain LoRA",
        )
    return dict(config)


def _rank_and_alpha(config: Mapping[str, Any]) -> tuple[int, float]:
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= MAX_RANK:
        raise AdapterRefused(f"its rank r is no whole number from 1 to {MAX_RANK}")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 < alpha <= 1e6:
        raise AdapterRefused("its lora_alpha is no positive number")
    return rank, float(alpha)


def _targets(config: Mapping[str, Any]) -> set[str]:
    targets = config.get("target_modules")
    if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
        raise AdapterRefused("its target_modules are no list of names")
    return set(targets)


def _check_tensors(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, int]]) -> None:
    missing, unexpected = len(set(shapes) - set(tensors)), len(set(tensors) - set(shapes))
    _refuse_unless(
        not missing and not unexpected,
        f"its tensors are not those of this base model ({missing} missing, {unexpected} unexpected)",
    )
    for name, shape in shapes.items():
        tensor = tensors[name]
        _refuse_unless(tensor.dtype in _READABLE_DTYPES, f"{name} is of type {tensor.dtype}")
        _refuse_unless(tuple(tensor.shape) == shape, f"{name} has shape {tuple(tensor.shape)} instead of {shape}")
        _refuse_unless(bool(torch.isfinite(tensor).all()), f"{name} holds values that are not finite")


def _refuse_unless(holds: bool, problem: str) -> None:
    if not holds:
        raise AdapterRefused(f"The adapter cannot be used: {problem}.")
