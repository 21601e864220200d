"""A task folder in one zip: which splits it holds, and their files taken out of it, however hostile it is.

Nothing is written by a name that the archive says: what it names is only looked for. What it claims of sizes is held
against bounds before anything is read, and no more is written than it claims.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from lamp.problems import LampProblem

SPLITS: Final = ("train", "dev", "test")
MOST_MEMBERS: Final = 1_000
DEEPEST: Final = 8
# The list of members is read whole; a thousand with long names have less.
_MOST_AT_ONCE: Final = 1024 * 1024
_CHUNK_BYTES: Final = 256 * 1024
_MEMBER: Final = re.compile(r"(?P<split>train|dev|test)_(?P<what>questions|outputs)\.json\Z")
_TRUTH: Final = "truth.json"
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED: Final = 0x1
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


@dataclass(frozen=True)
class SplitFiles:
    """The members of the archive that make one split, by what each is: `questions`, `outputs`, `truth`."""

    members: Mapping[str, str]
    sizes: Mapping[str, int]
    """Bytes of each, taken out."""


def splits_of_archive(path: Path, *, name: str, most_bytes: int) -> dict[str, SplitFiles]:
    """The splits of the one task folder in the archive, in the order of `SPLITS`; each has its questions.

    Raises `LampProblem` (whose file is `name`) for what is no such archive, and where the files of all splits together
    would be larger than `most_bytes`.
    """
    with _opened(path, name) as archive:
        return _splits(archive, name, most_bytes)


def take_out(
    path: Path,
    files: SplitFiles,
    targets: Mapping[str, Path],
    *,
    name: str,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Write the split's files to `targets`, by what each is. Raises `LampProblem`.

    `check` is called now and then, and may raise to stop.
    """
    with _opened(path, name) as archive:
        for what, target in targets.items():
            left = files.sizes[what]
            # Opened without emptying it, which would give back the room that may have been taken for it.
            with archive.open(files.members[what]) as source, target.open("r+b" if target.exists() else "xb") as out:
                while chunk := source.read(_CHUNK_BYTES):
                    left -= len(chunk)
                    if left < 0:
                        _refuse(name, "holds a file that is larger than it claims", "Make the archive again")
                    out.write(chunk)
                    check()
                out.truncate()
            if left:
                _refuse(name, "holds a file that is shorter than it claims", "Make the archive again")


class _BoundedReads(io.FileIO):
    """A file of which no more is read at once than a list of members may have."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = _MOST_AT_ONCE + 1
        if size > _MOST_AT_ONCE + 1:
            raise zipfile.BadZipFile("its list of members is too long")
        return super().read(size) or b""


@contextmanager
def _opened(path: Path, name: str) -> Iterator[zipfile.ZipFile]:
    with _BoundedReads(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except LampProblem:
            raise
        except _BROKEN as error:
            if isinstance(error, OSError) and error.errno is not None:
                # The disk's, not the archive's.
                raise
            raise LampProblem(
                file=name,
                message="is no zip archive that can be read",
                remedy="Make a plain zip (no password) of the task's folder, and upload it again",
            ) from None


def _splits(archive: zipfile.ZipFile, name: str, most_bytes: int) -> dict[str, SplitFiles]:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        _refuse(name, f"holds more than {MOST_MEMBERS:,} files", "Zip one task's folder alone")
    found: dict[str, dict[str, zipfile.ZipInfo]] = {}
    truth: zipfile.ZipInfo | None = None
    folders: set[str] = set()
    for member in members:
        _refuse_hostile(member, name)
        folder, _, base = member.filename.rpartition("/")
        named = _MEMBER.match(base)
        if named is None and base != _TRUTH:
            continue
        if member.flag_bits & _ENCRYPTED or member.compress_type not in _METHODS:
            _refuse(
                name, "holds a file that is encrypted or packed in an unusual way", "Make a plain zip, without password"
            )
        folders.add(folder)
        if len(folders) > 1:
            _refuse(name, "holds several tasks' folders", "Zip one task's folder alone")
        if named is None:
            twice, truth = truth is not None, member
        else:
            files = found.setdefault(named["split"], {})
            twice = named["what"] in files
            files[named["what"]] = member
        if twice:
            _refuse(name, "holds a file twice", "Make the archive again")
    whole = {split: found[split] for split in SPLITS if "questions" in found.get(split, {})}
    if not whole:
        _refuse(
            name,
            "holds no questions file",
            "Zip a task's folder with train_questions.json, dev_questions.json or test_questions.json in it",
        )
    splits = {split: _split_files(files, truth) for split, files in whole.items()}
    # A truth is taken out once for each split that has it.
    if sum(size for files in splits.values() for size in files.sizes.values()) > most_bytes:
        _refuse(name, f"its files would have more than {most_bytes:,} bytes", "Import its files one split at a time")
    return splits


def _split_files(files: dict[str, zipfile.ZipInfo], truth: zipfile.ZipInfo | None) -> SplitFiles:
    """A truth is of the splits that have outputs: a generator writes both."""
    all_of_them = files | ({"truth": truth} if truth is not None and "outputs" in files else {})
    return SplitFiles(
        members={what: info.filename for what, info in all_of_them.items()},
        sizes={what: info.file_size for what, info in all_of_them.items()},
    )


def _refuse_hostile(member: zipfile.ZipInfo, name: str) -> None:
    """A path that leads out of the folder, or very deep, is nobody's mistake."""
    parts = member.filename.split("/")
    if member.filename.startswith("/") or "\\" in member.orig_filename or ".." in parts or ":" in parts[0]:
        _refuse(name, "holds a path that leads out of its folder", "Make a plain zip of the task's folder")
    if len(parts) > DEEPEST:
        _refuse(name, f"holds folders more than {DEEPEST} deep", "Make a plain zip of the task's folder")


def _refuse(name: str, message: str, remedy: str) -> NoReturn:
    raise LampProblem(file=name, message=message, remedy=remedy)
