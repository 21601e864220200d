"""Databases of a benchmark's own, in a PostgreSQL that goes with it; each in turn is Django's default one."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def own_servers() -> Iterator[None]:
    """PostgreSQL with all our tables, and the broker, which Django then uses; all is gone afterwards."""
    from embedded import stack

    with tempfile.TemporaryDirectory(prefix="lamppost-bench-") as folder:
        root = Path(folder) / "servers"
        # PostgreSQL may run as another user, who must be able to pass through.
        Path(folder).chmod(0o755)
        endpoints = stack.up(root, only={"postgres", "redis"})
        try:
            os.environ["DATABASE_URL"] = endpoints.database_url
            os.environ["BROKER_URL"] = endpoints.broker_url
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
            _migrate()
            yield
        finally:
            stack.erase(root)


def _migrate() -> None:
    import django
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    call_command("migrate", verbosity=0)
    connections.close_all()


def copy_of_empty(name: str) -> None:
    """Make a database with all our tables and no row of ours. Nobody may be connected to the first one."""
    from django.db import connections

    first = connections.settings["default"]
    maker = _connection("postgres")
    try:
        with maker.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{first["NAME"]}"')
    finally:
        maker.close()


class Databases:
    """A connection to each of these databases, kept; one of them at a time is Django's default."""

    def __init__(self, *names: str) -> None:
        self._connections = {name: _connection(name) for name in names}

    def use(self, name: str) -> None:
        """What this thread asks for from now on is asked of that database."""
        from django.db import connections

        connections["default"] = self._connections[name]

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()


def _connection(name: str) -> Any:
    from django.db import connections

    connection = connections.create_connection("default")
    connection.settings_dict = {**connection.settings_dict, "NAME": name}
    return connection
