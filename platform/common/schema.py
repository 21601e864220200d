"""The tables of the embedded database: there is nobody else to make them."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

# Any number that no other advisory lock of this database uses.
_LOCK = 7_062_024_032


def bring_up_to_date() -> bool:
    """Apply the migrations that the database lacks; returns whether there were any. Callers take turns."""
    if not _missing():
        return False
    with held():
        if not _missing():
            return False
        call_command("migrate", verbosity=0, interactive=False)
        return True


@contextmanager
def held() -> Iterator[None]:
    """Nobody else brings the tables up to date inside."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _missing() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
