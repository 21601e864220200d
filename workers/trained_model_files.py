"""Selectors and fine-tuned encoders as folders: in the object store, and on this machine once a process needs one.

A folder on this machine is named by the digest of its contents, so all processes share it. It is looked at again
whenever a process loads it.
"""

import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from django.conf import settings

from common.objects import ObjectMissing, ObjectStore, get_store
from jobs.errors import Permanent
from retrieval_app.models import TrainedModel
from retrieval_app.object_keys import trained_model_prefix
from users_app import caches
from workers.engine.sources import folder_revision
from workers.model_names import shipped_selector_folder

FOLDER: Final = "trained-models"
"""Below VAR_DIR."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}(\.[A-Za-z0-9_-]{1,20}){0,3}\.(json|safetensors|txt|model)")
# With peft installed, transformers would fetch another model's weights for it.
_REFUSED: Final = "adapter_config.json"
# Notes for people, which no loader reads and the digest does not count.
_NOTES: Final = ".md"
_FILES_MOST: Final = 32
_CHUNK: Final = 1 << 20
_UNFINISHED_AT_MOST_SECONDS: Final = 24 * 3600


class StoredFiles(NamedTuple):
    """What a record says of its files: below which prefix they are, the digest of the folder, and their bytes."""

    prefix: str
    digest: str
    size_bytes: int


class _Damaged(Exception):
    """What is there is not what was recorded."""


def store_trained_model(folder: Path, *, identity: str) -> StoredFiles:
    """Upload a trained model's folder. Safe to repeat; nobody finds it before it is recorded.

    Raises ValueError where the folder holds what is no part of a model: files of other kinds, links, folders.
    """
    files = list(_files(folder))
    digest = folder_revision(folder)
    prefix = trained_model_prefix(identity=identity, digest=digest)
    store = get_store()
    for path in files:
        store.put_file(prefix + path.name, path)
    return StoredFiles(prefix, digest, size_of(folder))


def size_of(folder: Path) -> int:
    """The bytes of a trained model's files. Raises as `store_trained_model`."""
    return sum(path.stat().st_size for path in _files(folder))


def _files(folder: Path) -> Iterator[Path]:
    found = [path for path in sorted(folder.iterdir()) if path.suffix != _NOTES]
    if not 0 < len(found) <= _FILES_MOST:
        raise ValueError(f"a trained model has 1 to {_FILES_MOST} files, not {len(found)}")
    for path in found:
        if not _is_part_of_a_model(path.name) or path.is_symlink() or not path.is_file():
            raise ValueError(f"{path.name[:60]!r} is no part of a trained model")
        yield path


def _is_part_of_a_model(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name != _REFUSED


def folder_of(record: TrainedModel) -> Path:
    """The folder with the files of `record`, fetched if this machine does not have it; what it holds was verified.

    Raises `Permanent` where it was withdrawn, or where the files are gone or not those that were recorded.
    """
    require_usable(record)
    try:
        return _in_store(record) if record.object_prefix else _shipped(record)
    except (_Damaged, ObjectMissing) as problem:
        raise Permanent(
            f"{record.get_kind_display()} {record.pk} cannot be used: {problem} Withdraw it and train it anew."
        ) from None


def require_usable(record: TrainedModel) -> None:
    """Raise `Permanent` where `record` was withdrawn."""
    if record.withdrawn_at is not None:
        raise Permanent(f"{record.get_kind_display()} {record.pk} was withdrawn: it is not used any more.")


def _shipped(record: TrainedModel) -> Path:
    folder = shipped_selector_folder(record.kind)
    if folder is None or folder_revision(folder) != record.content_digest:
        raise _Damaged("it came with another version of Lamppost than this worker's.")
    return folder


def _in_store(record: TrainedModel) -> Path:
    place = trained_models_folder()
    folder = place / record.content_digest
    if folder.is_dir():
        if folder_revision(folder) == record.content_digest:
            return folder
        _discard(folder)
    place.mkdir(parents=True, exist_ok=True)
    fresh = place / f".{record.content_digest[:16]}.{secrets.token_hex(8)}.part"
    fresh.mkdir()
    try:
        _download(record, fresh)
        _put_in_place(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def trained_models_folder() -> Path:
    """Where this machine keeps the folders that it has fetched, each by the digest of its contents."""
    return Path(settings.VAR_DIR) / FOLDER


def forget_gone_folders() -> None:
    """Remove the fetched folders that no usable row stands for any more, and what ended processes have left half."""
    place = trained_models_folder()
    folders = [path for path in place.iterdir() if path.is_dir()] if place.is_dir() else []
    standing = TrainedModel.objects.filter(withdrawn_at__isnull=True, content_digest__in=[one.name for one in folders])
    known = set(standing.values_list("content_digest", flat=True)) if folders else set()
    for folder in folders:
        if not folder.name.startswith("."):
            if folder.name not in known:
                _discard(folder)
        elif _age_seconds(folder) > _UNFINISHED_AT_MOST_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


caches.register(forget_gone_folders)


def _age_seconds(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:
        # Another process has finished it, or removed it.
        return 0.0


def _discard(folder: Path) -> None:
    """Remove a fetched folder: nobody finds half of it meanwhile."""
    gone = folder.with_name(f".{folder.name[:16]}.{secrets.token_hex(8)}.gone")
    try:
        folder.rename(gone)
    except FileNotFoundError:
        # Another process was faster.
        return
    shutil.rmtree(gone, ignore_errors=True)


def _download(record: TrainedModel, folder: Path) -> None:
    """Fetch the files of `record` into `folder`, no more of them and no larger than it says, and verify them."""
    store = get_store()
    prefix = record.object_prefix
    found = []
    for info in store.list(prefix):
        found.append(info)
        if len(found) > _FILES_MOST:
            raise _Damaged(f"there are more than {_FILES_MOST} files in the object store.")
    names = [info.key.removeprefix(prefix) for info in found]
    if not names:
        raise _Damaged("its files are gone from the object store.")
    if not all(_is_part_of_a_model(name) for name in names):
        raise _Damaged("in the object store stands a file beside it that is no part of a model.")
    room = record.size_bytes
    for name in names:
        room -= _copy(store, prefix + name, folder / name, most=room)
    if room != 0 or folder_revision(folder) != record.content_digest:
        raise _Damaged("what is in the object store is not what was trained: its digest differs.")


def _copy(store: ObjectStore, key: str, path: Path, *, most: int) -> int:
    """Write an object to a file; how many bytes it had. Raises `_Damaged` where it has more than `most`."""
    size = 0
    with store.open_stream(key) as stream, path.open("xb") as file:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > most:
                raise _Damaged("its files in the object store are larger than those that were recorded.")
            file.write(chunk)
    return size


def _put_in_place(fresh: Path, folder: Path) -> None:
    try:
        fresh.rename(folder)
    except OSError:
        # Another process was faster: it has verified the same contents.
        if not folder.is_dir():
            raise
