"""The check: every migration that is not released, one after the other."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

from common.migration_checks.findings import Finding, findings_of
from common.migration_checks.statements import statements_of
from common.migration_checks.unreleased import released_migrations, unreleased_migrations

_NEW_TABLE: Final = re.compile(r"^CREATE TABLE .*?;$", re.MULTILINE | re.DOTALL)


def unsafe_migrations(
    loader: MigrationLoader, *, released: Mapping[str, str | None]
) -> Iterator[tuple[Migration, list[Finding]]]:
    """Each migration that is not released, with why it is refused: nothing where all is well.

    Needs a connection to PostgreSQL, which composes the SQL, and leaves the database as it is. Raises `UnknownRelease`
    and `SquawkMissing`.
    """
    known = released_migrations(loader, released)
    new_tables: list[str] = []
    for migration in unreleased_migrations(loader, released):
        before = loader.project_state((migration.app_label, migration.name), at_end=False)
        sql = statements_of(migration, before=before)
        yield migration, findings_of(migration, sql, new_tables=new_tables, released=known)
        new_tables += _NEW_TABLE.findall(sql)
