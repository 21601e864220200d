"""Where a model comes from: a folder on this machine, or a name on the hub; and what exactly was loaded."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from transformers.utils import cached_file, extract_commit_hash
from transformers.utils.logging import disable_progress_bar

# Where a hub model has no safetensors, transformers would have a bot open a pull request at its repository.
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
# Loading runs in workers and commands that show progress of their own.
disable_progress_bar()

Loaded = TypeVar("Loaded")

# What can change a loaded model; a README cannot.
_MODEL_FILES = (".json", ".safetensors", ".model", ".txt", ".jinja")
_CONFIG_FILE = "config.json"
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


@dataclass(frozen=True)
class Source:
    """A model whose contents are settled: `revision` is a folder's digest or the hub's commit."""

    name_or_path: str
    revision: str
    in_folder: bool

    def load(self, loader: Callable[..., Any], **settings: Any) -> Any:
        """Call a `from_pretrained` for exactly this revision; code that comes with a model is never run."""
        revision = None if self.in_folder else self.revision
        return fetch(
            lambda: loader(self.name_or_path, revision=revision, trust_remote_code=False, **settings),
            name_or_path=self.name_or_path,
            revision=revision,
        )


def settle(name_or_path: str, *, revision: str | None) -> Source:
    """Find a model and what exactly it is now, so that all its files are then loaded from the same state.

    Args:
        revision: a branch, tag or commit of the hub (a commit is recorded even where none is given), or the digest
            that a folder must have.

    Raises:
        ModelUnavailable: there is neither such a folder nor a reachable hub with such a name.
        ModelRefused: the folder is not the one that was asked for.
    """
    if is_folder(name_or_path):
        return _settle_folder(name_or_path, revision=revision)
    path = fetch(
        lambda: cached_file(name_or_path, _CONFIG_FILE, revision=revision),
        name_or_path=name_or_path,
        revision=revision,
    )
    commit = extract_commit_hash(path, None)
    if commit is None:
        raise ModelUnavailable(f"The hub gave no commit hash for {name_or_path}: its revision cannot be recorded.")
    return Source(name_or_path, commit, in_folder=False)


def _settle_folder(path: str, *, revision: str | None) -> Source:
    if not (Path(path) / _CONFIG_FILE).is_file():
        raise ModelUnavailable(f"The folder {path} holds no {_CONFIG_FILE}: it is no Hugging Face model folder.")
    digest = folder_revision(Path(path))
    if revision is not None and revision != digest:
        raise ModelRefused(
            f"The folder {path} has changed: its digest is {digest}, but {revision} was asked for. "
            "Restore the files, or register the folder as a new revision."
        )
    return Source(path, digest, in_folder=True)


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
