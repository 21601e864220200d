"""Where a model comes from: a folder on this machine, or a name on the hub; and what exactly was loaded."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from transformers import AutoConfig

Loaded = TypeVar("Loaded")

# What can change a loaded model; a README cannot.
_MODEL_FILES = (".json", ".safetensors", ".model", ".txt", ".jinja")
_CHUNK = 1 << 20


class ModelUnavailable(Exception):
    """The model could not be found or reached; the message says what to do."""

    safe_message = True


class ModelRefused(Exception):
    """The model is there, but not of a kind this engine runs, or its files are not safe to load."""

    safe_message = True


def is_folder(name_or_path: str) -> bool:
    return Path(name_or_path).is_dir()


def folder_state(name_or_path: str) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and change times of a model folder's files: a cheap sign of change; empty for a hub name."""
    if not is_folder(name_or_path):
        return ()
    found = ((path.name, path.stat()) for path in _model_files(Path(name_or_path)))
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)


def folder_revision(folder: Path) -> str:
    """A sha256 over the names and contents of a model folder's files (hexadecimal).

    Only files of the folder itself that a loader reads are counted, so that notes beside them do not change it.
    """
    content = hashlib.sha256()
    for path in _model_files(folder):
        content.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                content.update(chunk)
    return content.hexdigest()


def _model_files(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix in _MODEL_FILES and not path.name.startswith(".") and path.is_file()
    ]


def load_config(name_or_path: str, *, revision: str | None) -> Any:
    """The model's configuration; code from the hub is never run.

    Raises ModelUnavailable where there is neither such a folder nor a reachable hub with such a name.
    """
    if is_folder(name_or_path) and not (Path(name_or_path) / "config.json").is_file():
        raise ModelUnavailable(f"The folder {name_or_path} holds no config.json: it is no Hugging Face model folder.")
    return fetch(
        lambda: AutoConfig.from_pretrained(name_or_path, revision=revision, trust_remote_code=False),
        name_or_path=name_or_path,
        revision=revision,
    )


def loaded_revision(name_or_path: str, *, revision: str | None, config: Any) -> str:
    """What was loaded: a folder's digest, or the hub's commit hash even where a branch was asked for."""
    if is_folder(name_or_path):
        digest = folder_revision(Path(name_or_path))
        if revision is not None and revision != digest:
            raise ModelRefused(
                f"The folder {name_or_path} has changed: its digest is {digest}, but {revision} was asked for. "
                "Restore the files, or register the folder as a new revision."
            )
        return digest
    commit = getattr(config, "_commit_hash", None)
    if commit is None:
        raise ModelUnavailable(f"The hub gave no commit hash for {name_or_path}: its revision cannot be recorded.")
    return str(commit)


def fetch(load: Callable[[], Loaded], *, name_or_path: str, revision: str | None) -> Loaded:
    """Run a loader of transformers, and turn its failure into one that says what to do."""
    try:
        return load()
    except (OSError, ValueError, KeyError) as error:
        if is_folder(name_or_path):
            raise ModelRefused(
                f"The model in {name_or_path} could not be loaded: {_first_line(error)} "
                "The folder must hold config.json, model.safetensors and the tokenizer's files."
            ) from error
        wanted = f"{name_or_path} at revision {revision}" if revision else name_or_path
        raise ModelUnavailable(
            f"The model {wanted} could not be loaded: {_first_line(error)} "
            "There is no such folder here. If it is a name on the Hugging Face hub, check the name and revision and "
            "that this machine reaches the hub (HF_ENDPOINT, HF_TOKEN, proxy); or download the model elsewhere, copy "
            "its folder here and give the folder's path."
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(". ") + "."
