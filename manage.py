#!/usr/bin/env python
"""Entry point of every management command.

Where the environment names no servers, the embedded ones are brought up first, for every command that needs them.
"""

import os
import sys
from pathlib import Path

# Commands that work without any server. `lamp` must never open a connection: people run it beside LaMP's own scripts.
WITHOUT_SERVERS = frozenset(
    {
        "lamp", "stack", "help", "version", "check", "makemigrations", "makemessages", "compilemessages", "startapp",
        "startproject", "diffsettings", "collectstatic", "findstatic", "sendtestemail", "spectacular", "test", "--help",
        "-h", "--version",
    }
)  # fmt: skip

# Options by which a command only tells something.
TELLING = frozenset({"-h", "--help", "--verify"})

# Commands about the tables themselves; a restore brings its own.
OF_MIGRATIONS = frozenset(
    {"migrate", "showmigrations", "sqlmigrate", "squashmigrations", "optimizemigration", "check_migrations", "restore"}
)

_OUTSIDE_REMEDY = (
    "Check that the server named by DATABASE_URL runs and lets this user in, or unset DATABASE_URL to use the "
    "embedded one."
)
_EMBEDDED_REMEDY = "The embedded server has gone away: run the same command again, which brings it back."


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.exceptions import ImproperlyConfigured

    try:
        _run()
    except ImproperlyConfigured as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


def _run() -> None:
    if len(sys.argv) > 1 and sys.argv[1] not in WITHOUT_SERVERS and not TELLING & set(sys.argv):
        _ensure_servers()
        if _database_is_embedded() and sys.argv[1] not in OF_MIGRATIONS:
            _ensure_tables()
    from django.core.management import execute_from_command_line
    from django.db import OperationalError, ProgrammingError

    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        remedy = _EMBEDDED_REMEDY if _database_is_embedded() else _OUTSIDE_REMEDY
        sys.exit(f"error: the database did not answer: {str(error).strip().splitlines()[0]}. {remedy}")
    except ProgrammingError as error:
        if "does not exist" not in str(error):
            raise
        sys.exit(f"error: {str(error).splitlines()[0]}. Bring the tables up to date with `manage.py migrate`.")


def _database_is_embedded() -> bool:
    from embedded import defaults

    return "postgres" in defaults.wanted()


def _ensure_tables() -> None:
    import django

    django.setup()
    from common.schema import bring_up_to_date

    bring_up_to_date()


def _ensure_servers() -> None:
    from embedded import defaults
    from embedded.errors import StackError

    os.environ.pop(defaults.STARTED_HERE, None)
    try:
        if defaults.ensure(Path(os.environ.get("LAMPPOST_VAR") or Path(__file__).resolve().parent / "var")):
            os.environ[defaults.STARTED_HERE] = "1"
    except StackError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
