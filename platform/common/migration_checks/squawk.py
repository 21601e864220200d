"""squawk, a linter of SQL for PostgreSQL that knows which statement takes which lock."""

import json
import shutil
import subprocess
import sysconfig
import tempfile
from typing import Final, NamedTuple

# What is style, and not safety. The limits on how long a statement may wait for its lock are the connection's
# (`PGOPTIONS`, see docs/operations.md), and Django retries no part of a migration.
_STYLE: Final = (
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-robust-stmts",
    "prefer-text-field",
    "prefer-timestamp-tz",
    "require-lock-timeout",
    "require-statement-timeout",
)
_SECONDS: Final = 60
# The oldest that docs/operations.md allows.
_POSTGRESQL: Final = "15"


class SquawkMissing(RuntimeError):
    """squawk is not installed; the message says how it is."""


class Warned(NamedTuple):
    """What squawk says of one place."""

    rule: str
    line: int
    """From 0."""
    message: str


def warnings_of(sql: str, *, in_transaction: bool) -> list[Warned]:
    """What squawk finds unsafe in `sql`, in the order of its lines; all of it is taken for one migration.

    Raises `SquawkMissing`.
    """
    program = shutil.which("squawk", path=sysconfig.get_path("scripts")) or shutil.which("squawk")
    if program is None:
        raise SquawkMissing("squawk is not installed: pip install -e '.[dev]'.")
    # In a folder without anybody's .squawk.toml.
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(  # noqa: S603 - a program of this installation
            [
                program, "--reporter", "json", "--pg-version", _POSTGRESQL, "--stdin-filepath", "migration.sql",
                "--assume-in-transaction" if in_transaction else "--no-assume-in-transaction",
                *(part for rule in _STYLE for part in ("--exclude", rule)),
            ],
            input=sql, capture_output=True, text=True, cwd=folder, timeout=_SECONDS,
        )  # fmt: skip
    # 1: it has found something.
    if done.returncode not in (0, 1):
        raise RuntimeError(f"squawk ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    found = json.loads(done.stdout or "[]")
    return sorted((Warned(one["rule_name"], one["line"], one["message"]) for one in found), key=lambda one: one.line)
