"""Files of an import on their way from the object store to the disk of the worker that reads them.

What a client has put there may be larger than was said, and may change while it is read. So the room is taken before
the first byte comes, no more than that is ever written, and what was declared is held against what came.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings

from common.objects import ObjectMissing, get_store
from jobs.errors import JobError

_CHUNK_BYTES: Final = 1024 * 1024


@dataclass(frozen=True)
class StoredFile:
    """A file in the object store: its key, what its owner calls it, and its bytes and SHA-256 (hex) if declared."""

    key: str
    name: str
    size: int | None = None
    sha256: str = ""


class NotAsDeclared(ValueError):
    """The file is not the one that was declared; the message says what differs and what to do."""

    safe_message = True


class NoRoom(JobError):
    """The worker's disk has no room for the files now. Another attempt, or another worker, may have it."""


def fetch(files: Mapping[str, StoredFile], folder: Path) -> None:
    """Write each file to its name in `folder`.

    Raises `ObjectMissing`, `NotAsDeclared`, `NoRoom` and `ObjectStoreUnavailable`.
    """
    sizes = {name: _size(stored) for name, stored in files.items()}
    take_room({folder / name: size for name, size in sizes.items()}, folder)
    with full_disk_is_no_room(sum(sizes.values())):
        for name, stored in files.items():
            _fetch(stored, folder / name, size=sizes[name])


def _size(stored: StoredFile) -> int:
    found = get_store().stat(stored.key)
    if found is None:
        raise ObjectMissing(f"There is no object {stored.key}.")
    if stored.size is not None and found.size != stored.size:
        raise _differs(stored)
    return found.size


def take_room(sizes: Mapping[Path, int], folder: Path) -> None:
    """Take the files' room at once, so that imports side by side cannot each count on the same. Raises `NoRoom`."""
    total = sum(sizes.values())
    reserve = settings.IMPORT_DISK_RESERVE_BYTES
    with full_disk_is_no_room(total):
        if shutil.disk_usage(folder).free < total + reserve:
            raise _no_room(total, reserve)
        for path, size in sizes.items():
            with path.open("xb") as file:
                # Not every system has it; there the second look below is all there is.
                if size and hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
    if shutil.disk_usage(folder).free < reserve:
        # Another import has taken its room at the same time.
        for path in sizes:
            path.unlink()
        raise _no_room(total, reserve)


@contextmanager
def full_disk_is_no_room(total: int) -> Iterator[None]:
    """Raise `NoRoom` where the disk turns out to be full while files of `total` bytes are written."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _no_room(total, settings.IMPORT_DISK_RESERVE_BYTES) from None


def _no_room(total: int, reserve: int) -> NoRoom:
    return NoRoom(
        f"The files have {total:,} bytes, and the worker's temporary folder has no room for them with {reserve:,} "
        "bytes to spare. Free some of its disk, or name a folder on a larger one in TMPDIR; then import them again."
    )


def _fetch(stored: StoredFile, path: Path, *, size: int) -> None:
    digest = hashlib.sha256()
    left = size
    with get_store().open_stream(stored.key) as stream, path.open("r+b") as file:
        while chunk := stream.read(min(_CHUNK_BYTES, left + 1)):
            left -= len(chunk)
            if left < 0:
                break
            digest.update(chunk)
            file.write(chunk)
    if left:
        raise _differs(stored)
    if stored.sha256 and digest.hexdigest() != stored.sha256:
        raise NotAsDeclared(
            f"{stored.name}: the SHA-256 of what was uploaded is not the one that was declared. Upload the file again."
        )


def _differs(stored: StoredFile) -> NotAsDeclared:
    return NotAsDeclared(f"{stored.name}: there are not as many bytes of it as there should be. Upload the file again.")
