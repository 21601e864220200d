"""Model folders as `transformers` reads them: written plainly, and looked at before anything of them is loaded."""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from workers.engine.sources import ModelRefused

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
_TOKENIZER_SETTINGS_FILE = "tokenizer_config.json"
# How a tokenizer was loaded, which transformers writes among its settings.
_OF_LOADING = ("is_local", "local_files_only", "name_or_path", "trust_remote_code")

_MAX_CONFIG_BYTES = 1 << 16
_MAX_BESIDE_BYTES = 1 << 26
_MAX_HEADER_BYTES = 1 << 24
# A safetensors file begins with the length of its JSON header.
_LENGTH_BYTES = 8
_BYTES_OF_TYPE = {"F32": 4, "F16": 2, "BF16": 2}
# A tokenizer's, a note, or measurements that stand beside; nothing that a loader would unpickle or run.
_BESIDE = (".json", ".txt", ".model", ".md")
# Another model's weights would be fetched for it.
_ADAPTER_FILE = "adapter_config.json"
# Settings with which a configuration could have other code run, or weights read in another way.
_FOREIGN_SETTINGS = (
    "attn_implementation",
    "auto_map",
    "distributed_config",
    "experts_implementation",
    "fusion_config",
    "kernel_config",
    "quantization_config",
    "use_kernels",
)
# Far above any encoder; a configuration that says more would only take time.
_MAX_LAYERS = 1 << 10


class StoredTensor(NamedTuple):
    """A tensor of a safetensors file, from its header: safetensors' name of its type, and its shape."""

    dtype: str
    shape: tuple[int, ...]


def write_model_folder(folder: Path, *, model: Any, tokenizer: Any) -> None:
    """Write configuration, weights (one safetensors file) and tokenizer into `folder`, which is emptied first.

    The same model gives the same bytes. Nothing of where it was loaded from is written.
    """
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, max_shard_size="1000GB")
    tokenizer.save_pretrained(folder)
    path = folder / _TOKENIZER_SETTINGS_FILE
    settings = json.loads(path.read_text(encoding="utf-8"))
    kept = {name: value for name, value in settings.items() if name not in _OF_LOADING}
    path.write_text(json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's configuration, after a look at which files there are and what it says.

    Raises `ModelRefused`: no plain folder of a configuration, one safetensors file and what belongs to a tokenizer;
    or a setting that could have other code run.
    """
    _check_files(folder)
    try:
        config = json.loads((folder / CONFIG_FILE).read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelRefused(f"The model's {CONFIG_FILE} is no JSON.") from error
    refuse_unless(isinstance(config, dict), f"its {CONFIG_FILE} is no JSON object")
    for setting in _FOREIGN_SETTINGS:
        names = (setting, f"_{setting}", f"_{setting}_internal")
        refuse_unless(not any(config.get(name) for name in names), f"its configuration has a setting {setting}")
    layers = [value for name, value in config.items() if "layer" in name and isinstance(value, int)]
    refuse_unless(all(value <= _MAX_LAYERS for value in layers), f"it has more than {_MAX_LAYERS} layers")
    return dict(config)


def require_one_label(config: Mapping[str, Any]) -> None:
    """Raise `ModelRefused` where the configuration speaks of more than one label.

    To be asked before transformers reads it, which makes a name for each of as many labels as it says.
    """
    several = "its head has more than the one unit of a selector"
    refuse_unless(config.get("num_labels") in (None, 1), several)
    for names in (config.get("id2label"), config.get("label2id")):
        refuse_unless(names is None or (isinstance(names, dict) and len(names) == 1), several)


def _check_files(folder: Path) -> None:
    refuse_unless(folder.is_dir(), "it is no folder")
    paths = {path.name: path for path in folder.iterdir()}
    refuse_unless(CONFIG_FILE in paths, f"it holds no {CONFIG_FILE}")
    refuse_unless(WEIGHTS_FILE in paths, f"it holds no {WEIGHTS_FILE}; other weight files are not read")
    for name, path in paths.items():
        refuse_unless(path.is_file() and not path.is_symlink(), "its entries must be plain files")
        if name == WEIGHTS_FILE:
            continue
        refuse_unless(
            path.suffix in _BESIDE and name != _ADAPTER_FILE and not name.startswith("."),
            f"it holds {name[:60]!r}, which is no part of a configuration, {WEIGHTS_FILE} or a tokenizer",
        )
        most = _MAX_CONFIG_BYTES if name == CONFIG_FILE else _MAX_BESIDE_BYTES
        refuse_unless(path.stat().st_size <= most, f"its {name[:60]} is larger than {most} bytes")


def check_tensors(folder: Path, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `ModelRefused` unless the weights' file holds exactly these tensors, as floats, each whole.

    Only the file's header is read.
    """
    stored = _stored_tensors(folder / WEIGHTS_FILE)
    missing, unexpected = len(expected.keys() - stored.keys()), len(stored.keys() - expected.keys())
    refuse_unless(
        not missing and not unexpected,
        f"its tensors are not those of its configuration ({missing} missing, {unexpected} unexpected)",
    )
    for name, shape in expected.items():
        refuse_unless(stored[name].shape == shape, f"{name} has another shape than its configuration says")


def _stored_tensors(path: Path) -> dict[str, StoredTensor]:
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            refuse_unless(length <= min(size - _LENGTH_BYTES, _MAX_HEADER_BYTES), f"{WEIGHTS_FILE} is damaged")
            header = json.loads(file.read(length))
        tensors = {
            name: StoredTensor(str(entry["dtype"]), tuple(int(part) for part in entry["shape"]))
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelRefused(f"The model cannot be used: {WEIGHTS_FILE} is no safetensors file.") from error
    unread = [name for name, tensor in tensors.items() if tensor.dtype not in _BYTES_OF_TYPE]
    refuse_unless(not unread, f"{len(unread)} tensors are of a type other than {', '.join(_BYTES_OF_TYPE)}")
    values = sum(_BYTES_OF_TYPE[tensor.dtype] * math.prod(tensor.shape) for tensor in tensors.values())
    refuse_unless(size == _LENGTH_BYTES + length + values, f"{WEIGHTS_FILE} is damaged")
    return tensors


def refuse_unless(holds: bool, problem: str) -> None:
    if not holds:
        raise ModelRefused(f"The model cannot be used: {problem}.")
