"""The connection of a process that works for long between two statements."""

from django.db import close_old_connections, connection


def freshen_connection() -> None:
    """Call this before statements that follow a pause: a connection that has died or grown old is replaced then.

    Does nothing within a transaction, which would be lost.
    """
    if not connection.in_atomic_block:
        close_old_connections()
