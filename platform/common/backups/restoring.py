"""Bringing a backup into an installation that holds nothing.

Everything is looked at before anything is touched: the backup's digests, whether this Lamppost and its servers can take
it, and that both are empty. Then come the objects, and at last the database in one transaction. Where that fails the
database has no rows yet, so the same command can be given again; objects that came already are written over.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.db.migrations.loader import MigrationLoader

from common import schema
from common.backups import postgres, secret_key
from common.backups.checking import check_backup
from common.backups.contributions import contributions
from common.backups.errors import BackupError
from common.backups.folder import BackupFolder
from common.backups.manifest import Manifest, ObjectEntry, read_objects
from common.backups.taking import Report
from common.objects import ObjectMissing, ObjectStore, get_store

# What migrations write into tables that nobody has used yet.
_OF_MIGRATIONS: Final = frozenset({"django_migrations", "django_content_type", "auth_permission"})
_CHUNK_BYTES: Final = 1024 * 1024
_SHOWN: Final = 5
_LOCK_TIMEOUT: Final = "5s"


@dataclass(frozen=True)
class Restored:
    """A backup that was restored."""

    manifest: Manifest
    withdrawn: int
    """How many adapters and the like the backup lacks, which nobody is to use."""
    notes: tuple[str, ...]
    """What was put right, for the operator."""
    same_secret_key: bool


def restore_backup(path: Path, *, report: Report) -> Restored:
    """Restore the backup in the folder `path`.

    Raises:
        BackupError: It cannot be restored here; nothing of the installation was changed, or it is still empty.
        ObjectStoreError: The object store is away.
    """
    manifest = check_backup(path, report=report)
    _require_known_migrations(manifest)
    programs = postgres.programs_for(server_version=max(postgres.server_version(), manifest.pg_dump))
    store = get_store()
    # Commands that bring the tables up to date wait meanwhile.
    with schema.held():
        _require_fitting_server(manifest)
        _require_empty_database()
        _require_empty_store(store, path / manifest.objects.name)
        _put_objects(store, BackupFolder(path), manifest, report=report)
        report("the database", 0, 0)
        _drop_empty_tables()
        postgres.restore_dump(programs, path / manifest.database.name)
        _require_counts(manifest)
        call_command("migrate", verbosity=0, interactive=False)
    with transaction.atomic(durable=True):
        notes = [line for one in contributions() for line in one.restored()]
        left_out = [one.prefix for one in manifest.left_out]
        withdrawn = sum(one.withdraw(left_out) for one in contributions()) if left_out else 0
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return Restored(
        manifest=manifest,
        withdrawn=withdrawn,
        notes=tuple(notes),
        same_secret_key=secret_key.is_known(
            manifest.secret_key_mark,
            salt=bytes.fromhex(manifest.secret_key_salt),
            secret_keys=(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS),
        ),
    )


def _require_known_migrations(manifest: Manifest) -> None:
    loader = MigrationLoader(None, ignore_no_migrations=True)
    known = {*loader.disk_migrations, *(old for new in loader.replacements.values() for old in new.replaces)}
    unknown = [f"{app}.{name}" for app, name in manifest.migrations if (app, name) not in known]
    if unknown:
        raise BackupError(
            f"The backup was made by Lamppost {manifest.lamppost}, whose database this one does not know yet "
            f"({_some(unknown)}). Restore it with that version or a newer one."
        )


def _require_fitting_server(manifest: Manifest) -> None:
    version = postgres.server_version()
    if version // 10_000 < manifest.postgres_server // 10_000:
        raise BackupError(
            f"The backup comes from PostgreSQL {postgres.shown_version(manifest.postgres_server)}, and this server is "
            f"older: {postgres.shown_version(version)}. Restore it into PostgreSQL "
            f"{manifest.postgres_server // 10_000} or newer."
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_available_extensions")
        available = {name for (name,) in cursor.fetchall()}
    if missing := sorted(manifest.extensions.keys() - available):
        raise BackupError(
            f"This PostgreSQL server lacks what the backup needs: {', '.join(missing)}. Install it there."
        )


def _require_empty_database() -> None:
    held = postgres.tables_with_rows(table for table in postgres.table_names() if table not in _OF_MIGRATIONS)
    if held:
        rows = postgres.count_rows(held[:_SHOWN])
        named = [f"{table} {rows[table]}" if table in rows else table for table in held]
        raise BackupError(
            f"The database is not empty, and nothing in it was changed. There are rows in {_some(named)}. Restore into "
            f"a database and a bucket of their own, before web, workers and beat are started."
        )


def _require_empty_store(store: ObjectStore, listing: Path) -> None:
    """Only what an interrupted restore of the same backup may have left may be there."""
    there = {info.key: info.size for info in store.list()}
    if not there:
        return
    ours = {entry.key: entry.size for entry in read_objects(listing) if entry.key in there}
    others = sorted(key for key, size in there.items() if ours.get(key) != size)
    if others:
        raise BackupError(
            f"The bucket {store.bucket} is not empty, and nothing in it was changed. It holds what is not of this "
            f"backup ({_some(others)}). Name another by S3_BUCKET, or empty it."
        )


def _put_objects(store: ObjectStore, backup: BackupFolder, manifest: Manifest, *, report: Report) -> None:
    store.ensure_bucket()
    done = 0
    for entry in read_objects(backup.path / manifest.objects.name):
        store.put_file(entry.key, backup.object_path(entry.sha256))
        _require_stored(store, entry)
        done += entry.size
        report("the objects", done, manifest.object_bytes)


def _require_stored(store: ObjectStore, entry: ObjectEntry) -> None:
    """Read back what was stored."""
    digest = hashlib.sha256()
    try:
        with store.open_stream(entry.key) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    except ObjectMissing:
        pass  # its digest says so
    if digest.hexdigest() != entry.sha256:
        raise BackupError(
            f"The object store did not keep {entry.key} as it was sent. The database was not touched; see the store's "
            f"log, and restore again."
        )


def _drop_empty_tables() -> None:
    """Drop the tables that migrations have made here: those of the backup take their place."""
    with connection.cursor() as cursor:
        ours = set(connection.introspection.django_table_names(only_existing=True)) | {"django_migrations"}
        tables = [table for table in postgres.table_names() if table in ours]
    if not tables:
        return
    quoted = ", ".join(connection.ops.quote_name(table) for table in tables)
    try:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            cursor.execute(
                """SELECT DISTINCT p.oid::regprocedure::text FROM pg_trigger t
                     JOIN pg_proc p ON p.oid = t.tgfoid
                    WHERE t.tgrelid = ANY(%s::regclass[]) AND NOT t.tgisinternal""",
                [[connection.ops.quote_name(table) for table in tables]],
            )
            functions = [name for (name,) in cursor.fetchall()]
            cursor.execute(f"DROP TABLE {quoted} CASCADE")
            for function in functions:
                cursor.execute(f"DROP FUNCTION {function}")
    except OperationalError as error:
        raise BackupError(
            "Somebody uses the database: its empty tables could not be replaced. Stop web, workers and beat, and "
            "restore again."
        ) from error


def _require_counts(manifest: Manifest) -> None:
    counted = postgres.count_rows(manifest.counts)
    differing = [table for table, rows in manifest.counts.items() if counted[table] != rows]
    if differing:
        raise BackupError(
            f"The database does not hold as many rows as the backup says ({_some(differing)}). Do not use it: empty "
            f"the database and the bucket, and restore again."
        )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
