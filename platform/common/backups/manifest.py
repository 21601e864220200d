"""What a backup says of itself, as JSON: read without trust, since a backup may be damaged or somebody else's."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from common.backups.errors import BackupError
from common.objects import checked_key

FORMAT: Final = 1
"""Goes up when an older Lamppost could not restore it any more."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")
_FILE_NAME: Final = re.compile(r"[a-z]{1,30}\.[a-z]{1,10}\Z")
_NAME: Final = re.compile(r"[A-Za-z0-9_.+-]{1,255}\Z")
_LINE_BYTES: Final = 8 * 1024


@dataclass(frozen=True)
class FileEntry:
    """A file of the backup's folder."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class ObjectEntry:
    """An object of the store: its key there, and its content."""

    key: str
    size: int
    sha256: str


@dataclass(frozen=True)
class LeftOut:
    """Objects that a row of the snapshot names and that are not in the backup, and why."""

    prefix: str
    why: str


@dataclass(frozen=True)
class Manifest:
    """A whole backup. `taken_at` is the moment of the snapshot by the database's clock, in ISO 8601."""

    format: int
    lamppost: str
    taken_at: str
    finished_at: str
    postgres_server: int
    """As PostgreSQL numbers its versions: 180004 is 18.4."""
    pg_dump: int
    extensions: Mapping[str, str]
    migrations: tuple[tuple[str, str], ...]
    """App and name of each that was applied."""
    counts: Mapping[str, int]
    """Rows by table."""
    database: FileEntry
    objects: FileEntry
    """The list of objects: one `ObjectEntry` as JSON a line, in the order of their keys."""
    object_count: int
    object_bytes: int
    left_out: tuple[LeftOut, ...]
    secret_key_salt: str
    secret_key_mark: str
    """By which another SECRET_KEY is told (`common.backups.secret_key`)."""


def as_json(manifest: Manifest) -> bytes:
    return (json.dumps(asdict(manifest), indent=1, sort_keys=True) + "\n").encode()


def from_json(data: bytes) -> Manifest:
    """The manifest that `data` is.

    Raises:
        BackupError: It is none, or one of a newer format.
    """
    try:
        told = json.loads(data)
        if isinstance(told, dict) and isinstance(told.get("format"), int) and told["format"] > FORMAT:
            raise BackupError(
                f"The backup has format {told['format']}, and this Lamppost knows formats up to {FORMAT}: a newer one "
                f"has made it ({str(told.get('lamppost', ''))[:30]!r}). Restore it with that version."
            )
        return _manifest(told)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BackupError("manifest.json is not what a backup says of itself. Take another backup.") from error


def _manifest(told: Mapping[str, Any]) -> Manifest:
    return Manifest(
        format=_number(told["format"]),
        lamppost=_name(told["lamppost"]),
        taken_at=_moment(told["taken_at"]),
        finished_at=_moment(told["finished_at"]),
        postgres_server=_number(told["postgres_server"]),
        pg_dump=_number(told["pg_dump"]),
        extensions={_name(name): _name(version) for name, version in told["extensions"].items()},
        migrations=tuple((_name(app), _name(name)) for app, name in told["migrations"]),
        counts={_name(table): _number(rows) for table, rows in told["counts"].items()},
        database=_file(told["database"]),
        objects=_file(told["objects"]),
        object_count=_number(told["object_count"]),
        object_bytes=_number(told["object_bytes"]),
        left_out=tuple(LeftOut(_text(one["prefix"]), _text(one["why"])) for one in told["left_out"]),
        secret_key_salt=bytes.fromhex(_name(told["secret_key_salt"])).hex(),
        secret_key_mark=_name(told["secret_key_mark"]),
    )


def _file(told: Mapping[str, Any]) -> FileEntry:
    name = _text(told["name"])
    if not _FILE_NAME.match(name):
        raise ValueError("not the name of a file of a backup")
    return FileEntry(name, _number(told["size"]), _sha256(told["sha256"]))


class Writable(Protocol):
    """What bytes can be written to."""

    def write(self, data: bytes, /) -> object: ...


def write_objects(file: Writable, entries: Iterable[ObjectEntry]) -> None:
    for entry in entries:
        file.write(json.dumps(asdict(entry), sort_keys=True).encode() + b"\n")


def read_objects(path: Path) -> Iterator[ObjectEntry]:
    """The list of objects, an entry at a time.

    Raises:
        BackupError: A line is no entry, or names what cannot be the key of an object, or a key twice.
    """
    before = ""
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_LINE_BYTES), b""), start=1):
            try:
                told = json.loads(line)
                entry = ObjectEntry(checked_key(_text(told["key"])), _number(told["size"]), _sha256(told["sha256"]))
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise BackupError(
                    f"Line {number} of {path.name} names no object that could be stored. Nothing of it is used."
                ) from error
            if entry.key <= before:
                raise BackupError(f"Line {number} of {path.name} is out of order. Nothing of it is used.")
            before = entry.key
            yield entry


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _name(value: Any) -> str:
    """Of a table, a version and the like: it stands in statements and on the console."""
    if not _NAME.match(_text(value)):
        raise ValueError("not a name")
    return value


def _moment(value: Any) -> str:
    return datetime.fromisoformat(_text(value)).astimezone(UTC).isoformat()


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("not a whole number")
    return value


def _sha256(value: Any) -> str:
    if not _SHA256.match(_text(value)):
        raise ValueError("not a sha256")
    return value
