"""Taking a backup while the platform is in use.

One snapshot of the database decides. It is exported, so that pg_dump reads the very rows from which this process learns
which objects there are. Objects never change under their names, so they can be copied in the hours that follow. What is
deleted meanwhile, by an erasure first of all, is gone: an erasure waits for no backup. Rows tell that from damage. They
are looked up again, and what no row names any more was deleted; what one still names is missing, or is not what it was.
"""

import contextlib
import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from common.backups import folder, manifest, postgres, secret_key
from common.backups.contributions import NamedObjects, named_objects
from common.backups.errors import BackupError
from common.backups.folder import BackupFolder
from common.backups.manifest import FileEntry, LeftOut, Manifest, ObjectEntry
from common.objects import ObjectInfo, ObjectMissing, ObjectStore, get_store
from common.version import VERSION

_CHUNK_BYTES: Final = 1024 * 1024
_DELETED: Final = "deleted while the backup was taken"
_MISSING: Final = "missing in the object store"
_DAMAGED: Final = "not what was recorded: its digest differs"

Report = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done and how much there is (0: not known), in bytes."""


@dataclass(frozen=True)
class Taken:
    """A backup that was taken."""

    manifest: Manifest
    deleted: tuple[LeftOut, ...]
    """What was deleted while it was taken: nothing is wrong with that."""
    damaged: tuple[LeftOut, ...]
    """What the object store does not have, or not as it was recorded."""


@dataclass(frozen=True)
class _Rows:
    """What was read in the snapshot."""

    taken_at: datetime
    server_version: int
    pg_dump: int
    extensions: dict[str, str]
    migrations: tuple[tuple[str, str], ...]
    counts: dict[str, int]
    named: dict[str, NamedObjects]
    database: FileEntry


def take_backup(path: Path, *, report: Report, ignore_free_space: bool = False) -> Taken:
    """Take a backup into the folder `path`, which must not exist, be empty, or hold an interrupted one.

    Raises:
        BackupError: It cannot be taken; the folder holds no whole backup.
        ObjectStoreError: The object store is away.
        OSError: The folder cannot be written.
    """
    programs = postgres.programs_for(server_version=postgres.server_version())
    target = BackupFolder(path)
    with target.being_made():
        return _take(target, programs, report=report, ignore_free_space=ignore_free_space)


def _take(target: BackupFolder, programs: postgres.Programs, *, report: Report, ignore_free_space: bool) -> Taken:
    rows = _read_rows(target, programs, report=report, ignore_free_space=ignore_free_space)
    copying = _Copying(target, get_store(), report=report)
    needed = copying.bytes_of(rows.named.values())
    if not ignore_free_space:
        _require_room(target.path, needed)
    entries, absent = copying.copy(rows.named)
    left_out = _explained(absent)
    with target.new_file(folder.OBJECT_LIST) as listing:
        manifest.write_objects(listing, entries)
    salt = secrets.token_bytes(16)
    told = Manifest(
        format=manifest.FORMAT,
        lamppost=VERSION,
        taken_at=rows.taken_at.isoformat(),
        finished_at=datetime.now(UTC).isoformat(),
        postgres_server=rows.server_version,
        pg_dump=rows.pg_dump,
        extensions=rows.extensions,
        migrations=rows.migrations,
        counts=rows.counts,
        database=rows.database,
        objects=FileEntry(folder.OBJECT_LIST, listing.size, listing.sha256),
        object_count=len(entries),
        object_bytes=sum(entry.size for entry in entries),
        left_out=left_out,
        secret_key_salt=salt.hex(),
        secret_key_mark=secret_key.mark_of(settings.SECRET_KEY, salt=salt),
    )
    target.seal(told)
    return Taken(
        manifest=told,
        deleted=tuple(one for one in left_out if one.why == _DELETED),
        damaged=tuple(one for one in left_out if one.why != _DELETED),
    )


def _read_rows(target: BackupFolder, programs: postgres.Programs, *, report: Report, ignore_free_space: bool) -> _Rows:
    with _snapshot() as snapshot, connection.cursor() as cursor:
        cursor.execute("SELECT now(), pg_database_size(current_database())")
        taken_at, size = cursor.fetchone()
        if not ignore_free_space:
            _require_room(target.path, size)
        cursor.execute("SELECT extname, extversion FROM pg_extension ORDER BY extname")
        extensions = dict(cursor.fetchall())
        # First of all: pg_dump locks the tables against changes of their form.
        with target.new_file(folder.DATABASE) as file, postgres.dumping(programs, snapshot=snapshot) as dump:
            while chunk := dump.read(_CHUNK_BYTES):
                file.write(chunk)
                report("the database", file.size, 0)
        report("the rows", 0, 0)
        tables = [table for table in postgres.table_names() if table not in postgres.LEFT_OUT]
        return _Rows(
            taken_at=taken_at,
            server_version=postgres.server_version(),
            pg_dump=programs.version,
            extensions=extensions,
            migrations=tuple(MigrationRecorder.Migration.objects.order_by("id").values_list("app", "name")),
            counts=postgres.count_rows(tables),
            named=named_objects(),
            database=FileEntry(folder.DATABASE, file.size, file.sha256),
        )


@contextlib.contextmanager
def _snapshot() -> Iterator[str]:
    """A transaction that sees one moment, and the name by which others see the same."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SELECT pg_export_snapshot()")
        yield cursor.fetchone()[0]


def _require_room(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path).free
    if free < needed:
        raise BackupError(
            f"{path} has {free:,} bytes free, and the backup may take {needed:,}. Make room, name a folder on another "
            f"disk, or say --ignore-free-space: the database is taken to need its size on the server, and usually "
            f"needs much less."
        )


class _Copying:
    """Copies what rows name from the object store into the backup's folder."""

    def __init__(self, target: BackupFolder, store: ObjectStore, *, report: Report) -> None:
        self._target = target
        self._store = store
        self._report = report
        self._listed: dict[str, list[ObjectInfo]] = {}
        self._total = 0
        self._done = 0

    def bytes_of(self, named: Iterable[NamedObjects]) -> int:
        """List what there is of these now, and add up the bytes."""
        for one in named:
            self._listed[one.prefix] = list(self._list(one.prefix))
        self._total = sum(info.size for found in self._listed.values() for info in found)
        return self._total

    def copy(self, named: dict[str, NamedObjects]) -> tuple[list[ObjectEntry], dict[str, str]]:
        """Copy these; the objects by key, and of each prefix that is not whole why not."""
        entries: dict[str, ObjectEntry] = {}
        absent: dict[str, str] = {}
        unused: set[str] = set()
        for prefix, one in sorted(named.items()):
            copied = list(self._copied(prefix))
            if one.digest and self._digest_of(prefix, copied) != one.digest:
                absent[prefix] = _DAMAGED if copied else _MISSING
                unused.update(entry.sha256 for entry in copied)
                continue
            entries.update((entry.key, entry) for entry in copied)
        for sha256 in unused - {entry.sha256 for entry in entries.values()}:
            self._target.object_path(sha256).unlink()
        return [entries[key] for key in sorted(entries)], absent

    def _list(self, prefix: str) -> Iterator[ObjectInfo]:
        if prefix.endswith("/"):
            yield from self._store.list(prefix)
        elif (info := self._store.stat(prefix)) is not None:
            yield info

    def _copied(self, prefix: str) -> Iterator[ObjectEntry]:
        found = self._listed.get(prefix)
        for info in self._list(prefix) if found is None else found:
            # Deleted since it was listed: what is whole all the same is decided over the whole of the folder.
            with contextlib.suppress(ObjectMissing):
                yield self._copy(info.key)

    def _copy(self, key: str) -> ObjectEntry:
        with self._store.open_stream(key) as source, self._target.new_object() as file:
            while chunk := source.read(_CHUNK_BYTES):
                file.write(chunk)
                self._done += len(chunk)
                self._report("the objects", self._done, self._total)
        return ObjectEntry(key, file.size, file.sha256)

    def _digest_of(self, prefix: str, copied: list[ObjectEntry]) -> str:
        digest = hashlib.sha256()
        for entry in sorted(copied, key=lambda entry: entry.key):
            digest.update(f"{entry.key.removeprefix(prefix)}\0{entry.size}\0".encode())
            with self._target.object_path(entry.sha256).open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
        return digest.hexdigest()


def _explained(absent: dict[str, str]) -> tuple[LeftOut, ...]:
    """Whether what is not whole was deleted meanwhile: no row names it any more then."""
    standing = named_objects() if absent else {}
    return tuple(
        LeftOut(prefix, why if prefix in standing and standing[prefix].digest else _DELETED)
        for prefix, why in sorted(absent.items())
    )
