"""pg_dump and pg_restore: found, and run on the database that Django is connected to.

Both must be at least as new as the server. What opens the database is handed to them by their environment, never by
their arguments, which everybody on the machine can read.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

from django.conf import settings
from django.db import connection
from psycopg.conninfo import make_conninfo

from common.backups.errors import BackupError
from embedded import wheels
from embedded.errors import StackError

_DEBIAN: Final = Path("/usr/lib/postgresql")
_NEEDED: Final = ("pg_dump", "pg_restore")
_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?")
_LAST_WORDS: Final = 600
# Django's own wishes for its sessions; and what opens things.
_NOT_PASSED_ON: Final = frozenset({"client_encoding", "options", "password", "sslpassword", "application_name"})

LEFT_OUT: Final = frozenset({"django_session"})
"""Tables whose rows stay behind: a login that has ended since would be one again."""


@dataclass(frozen=True)
class Programs:
    """The programs of one PostgreSQL installation. `version` is numbered as the server numbers its own."""

    folder: Path
    version: int

    @property
    def major(self) -> int:
        return self.version // 10_000


def programs_for(*, server_version: int) -> Programs:
    """The programs that fit a server: of its own major version, else of the next one above that is found.

    Raises:
        BackupError: None are found, or only older ones.
    """
    found = [programs for folder in _places() if (programs := _programs_in(folder)) is not None]
    fitting = [programs for programs in found if programs.major >= server_version // 10_000]
    if fitting:
        return min(fitting, key=lambda programs: programs.major)
    major = server_version // 10_000
    if settings.POSTGRES_PROGRAMS:
        told = f"those there are of {shown_version(found[0].version)}" if found else "there they are not, or do not run"
        raise BackupError(
            f"pg_dump and pg_restore of PostgreSQL {major} or newer are needed, and {told}: POSTGRES_PROGRAMS names "
            f"{settings.POSTGRES_PROGRAMS}. Name the folder that holds them."
        )
    older = ", ".join(f"{shown_version(one.version)} in {one.folder}" for one in found)
    raise BackupError(
        f"pg_dump and pg_restore of PostgreSQL {major} or newer are needed, and not found"
        f"{f' (older ones: {older})' if older else ''}. Install PostgreSQL's client programs (Debian: "
        f"postgresql-client-{major}), or put the folder that holds them into POSTGRES_PROGRAMS."
    )


def _places() -> Iterator[Path]:
    if settings.POSTGRES_PROGRAMS:
        yield Path(settings.POSTGRES_PROGRAMS)
        return
    # An installation with servers of its own has no wheels.
    with suppress(StackError):
        yield wheels.postgres_installation() / "bin"
    yield from (Path(folder) for folder in os.get_exec_path() if folder)
    yield from _DEBIAN.glob("*/bin")


def _programs_in(folder: Path) -> Programs | None:
    versions = []
    for name in _NEEDED:
        program = folder / name
        if not program.is_file():
            return None
        try:
            said = subprocess.run(  # noqa: S603 (programs of the operator's own)
                [str(program), "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
                check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return None
        match = _VERSION.search(said.stdout)
        if match is None:
            return None
        versions.append(int(match[1]) * 10_000 + int(match[2] or 0))
    return Programs(folder, min(versions))


def shown_version(number: int) -> str:
    """
    >>> shown_version(180004)
    '18.4'
    """
    return f"{number // 10_000}.{number % 10_000}"


def server_version() -> int:
    """Of the server that Django is connected to."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        return int(cursor.fetchone()[0])


@contextmanager
def dumping(programs: Programs, *, snapshot: str) -> Iterator[IO[bytes]]:
    """A dump of the database in pg_dump's custom format, as of an exported snapshot, while it is made.

    Raises:
        BackupError: At the end of the block, where the program failed.
    """
    arguments = [
        "--format=custom", f"--snapshot={snapshot}", "--no-owner", "--no-privileges", "--no-comments",
        "--no-publications", "--no-subscriptions", "--no-security-labels", "--no-tablespaces",
        *(f"--exclude-table-data={table}" for table in sorted(LEFT_OUT)),
    ]  # fmt: skip
    with TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603 (programs of the operator's own)
            [str(programs.folder / "pg_dump"), *arguments, f"--dbname={_conninfo()}"],
            env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            yield process.stdout
            process.stdout.close()
            if process.wait() != 0:
                raise BackupError(f"pg_dump failed: {_last_words(errors)}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()


def restore_dump(programs: Programs, dump: Path) -> None:
    """Bring a dump into the database in one transaction: all of it, or nothing.

    Raises:
        BackupError: It could not be.
    """
    arguments = [
        "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", "--no-comments",
        "--no-tablespaces",
    ]  # fmt: skip
    with TemporaryFile() as errors:
        process = subprocess.run(  # noqa: S603 (programs of the operator's own)
            [str(programs.folder / "pg_restore"), *arguments, f"--dbname={_conninfo()}", str(dump)],
            env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, check=False,
        )  # fmt: skip
        if process.returncode != 0:
            raise BackupError(f"pg_restore failed, and left the database without tables: {_last_words(errors)}")


def _conninfo() -> str:
    connection.ensure_connection()
    told = connection.connection.info.get_parameters()
    kept = {name: value for name, value in told.items() if name not in _NOT_PASSED_ON}
    return make_conninfo("", **kept)


def _environment() -> Mapping[str, str]:
    connection.ensure_connection()
    password = connection.connection.info.password
    given = {"PGPASSWORD": password} if password else {}
    return {**os.environ, "PGAPPNAME": "lamppost backup", "LC_ALL": "C", **given}


def _last_words(errors: IO[bytes]) -> str:
    """The end of what a program wrote of its failure; an error of COPY quotes a row, which may be a user's text."""
    errors.seek(0)
    lines = errors.read().decode(errors="replace").splitlines()
    told = [line for line in lines if not line.startswith(("CONTEXT:", "DETAIL:", "Command was:", "  "))]
    return " ".join(told)[-_LAST_WORDS:] or "it said nothing"


def table_names() -> list[str]:
    """All tables of the schema that Django uses."""
    with connection.cursor() as cursor:
        return sorted(connection.introspection.table_names(cursor))


def count_rows(tables: Iterable[str]) -> dict[str, int]:
    """Rows by table."""
    counts = {}
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(table)}")  # noqa: S608 (names of tables)
            counts[table] = int(cursor.fetchone()[0])
    return counts


def tables_with_rows(tables: Iterable[str]) -> list[str]:
    """Those of `tables` that are not empty."""
    found = []
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT EXISTS (SELECT FROM {connection.ops.quote_name(table)})")  # noqa: S608
            if cursor.fetchone()[0]:
                found.append(table)
    return found
