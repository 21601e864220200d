"""A backup's folder: files that only their owner may read, objects by their content, and the seal that comes last.

`database.dump`, `objects.jsonl` and `objects/ab/ab12…` come first, then `manifest.json` with the digests of both files,
and at the end `manifest.json.sha256`, as sha256sum writes it. What lacks that one was interrupted. Objects lie under
the digest of their content, so no key of theirs ever names a path.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from common.backups.errors import BackupError
from common.backups.manifest import FileEntry, Manifest, as_json, from_json

DATABASE: Final = "database.dump"
OBJECT_LIST: Final = "objects.jsonl"
_MANIFEST: Final = "manifest.json"
_SEAL: Final = "manifest.json.sha256"
_OBJECTS: Final = "objects"
_UNFINISHED: Final = "unfinished"
_SEAL_PART: Final = "manifest.json.sha256.part"
_OURS: Final = frozenset({DATABASE, OBJECT_LIST, _MANIFEST, _SEAL_PART, _OBJECTS, _UNFINISHED})
_CHUNK_BYTES: Final = 1024 * 1024
_MANIFEST_BYTES: Final = 64 * 1024 * 1024


class DigestingFile:
    """A new file, readable by its owner alone, whose digest is there as soon as it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class BackupFolder:
    """The folder `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def being_made(self) -> Iterator[None]:
        """Make the folder, or clear what an interrupted backup has left in it, and hold it until the block ends.

        Raises:
            BackupError: A whole backup, or something else, stands there, or another process makes one.
        """
        there = self._look()
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)
        held = os.open(self.path / _UNFINISHED, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupError(f"Another process is making a backup in {self.path}. Name another folder.") from None
            # It may have come to its end since the folder was looked at.
            there |= self._look()
            self._clear(there - {_UNFINISHED})
            os.write(held, b"This backup is being made, or was interrupted: it is not to be restored.\n")
            (self.path / _OBJECTS).mkdir(mode=0o700)
            yield
        finally:
            os.close(held)

    def _look(self) -> set[str]:
        """What an interrupted backup has left there; nothing if the folder is new."""
        if not self.path.exists() and not self.path.is_symlink():
            return set()
        if not self.path.is_dir():
            raise BackupError(f"{self.path} is not a folder. Name one that does not exist yet.")
        there = {entry.name for entry in self.path.iterdir()}
        if _SEAL in there:
            raise BackupError(f"{self.path} holds a whole backup, which is kept. Name another folder.")
        if there and (_UNFINISHED not in there or there - _OURS):
            raise BackupError(f"{self.path} is not empty. Name a folder that does not exist yet.")
        return there

    def _clear(self, names: set[str]) -> None:
        for name in sorted(names):
            place = self.path / name
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)

    @contextlib.contextmanager
    def new_file(self, name: str) -> Iterator[DigestingFile]:
        """A file of the folder that is not there yet."""
        with _create(self.path / name) as file:
            yield DigestingFile(file)

    @contextlib.contextmanager
    def new_object(self) -> Iterator[DigestingFile]:
        """An object's content, which finds its place by its digest at the end of the block."""
        fresh = self.path / _OBJECTS / f"{secrets.token_hex(8)}.part"
        try:
            with _create(fresh) as file:
                written = DigestingFile(file)
                yield written
            place = self.object_path(written.sha256)
            place.parent.mkdir(mode=0o700, exist_ok=True)
            fresh.replace(place)
        finally:
            fresh.unlink(missing_ok=True)

    def object_path(self, sha256: str) -> Path:
        """Where the content with this digest lies."""
        return self.path / _OBJECTS / sha256[:2] / sha256

    def seal(self, manifest: Manifest) -> None:
        """Write the manifest and, when all that came before it is safe on the disk, the seal."""
        with self.new_file(_MANIFEST) as file:
            file.write(as_json(manifest))
        os.sync()
        fresh = self.path / _SEAL_PART
        with _create(fresh) as sealing:
            sealing.write(f"{file.sha256}  {_MANIFEST}\n".encode())
            sealing.flush()
            os.fsync(sealing.fileno())
        fresh.replace(self.path / _SEAL)
        (self.path / _UNFINISHED).unlink()
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def manifest(self) -> Manifest:
        """What the backup says of itself.

        Raises:
            BackupError: There is no whole backup, or its manifest was changed.
        """
        if not self.path.is_dir():
            raise BackupError(f"There is no folder {self.path}.")
        if not (self.path / _SEAL).is_file():
            if (self.path / _UNFINISHED).exists() or (self.path / _MANIFEST).exists():
                raise BackupError(
                    f"The backup in {self.path} is not whole: it is being made, or was interrupted. Take another one."
                )
            raise BackupError(f"There is no backup in {self.path}: it holds no {_SEAL}.")
        seal = _read(self.path / _SEAL, most=1024)
        data = _read(self.path / _MANIFEST, most=_MANIFEST_BYTES)
        if seal != f"{hashlib.sha256(data).hexdigest()}  {_MANIFEST}\n".encode():
            raise BackupError(f"{_MANIFEST} in {self.path} is not what was written: its digest differs.")
        return from_json(data)

    def check_file(self, entry: FileEntry) -> None:
        """Compare one of the folder's files with its digest. Raises `BackupError` where it differs or is gone."""
        self._check(self.path / entry.name, entry.name, entry.size, entry.sha256)

    def check_object(self, sha256: str, *, size: int) -> None:
        """Compare an object's content with its digest. Raises `BackupError` where it differs or is gone."""
        place = self.object_path(sha256)
        self._check(place, str(place.relative_to(self.path)), size, sha256)

    def _check(self, path: Path, shown: str, size: int, sha256: str) -> None:
        if path.is_symlink() or not path.is_file():
            raise BackupError(f"{shown} is missing in {self.path}. The backup cannot be restored; take another one.")
        digest = hashlib.sha256()
        if path.stat().st_size == size:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
        if digest.hexdigest() != sha256:
            raise BackupError(
                f"{shown} in {self.path} is not what was written: its size or digest differs. The backup cannot be "
                f"restored; take another one."
            )


def _create(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _read(path: Path, *, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > most:
        raise BackupError(f"{path} is larger than any that a backup writes.")
    return data
