"""Who waits for whom in the test's own database; other test processes have theirs on the same server."""

from django.db import connection

# A lock of a row is waited for as one of a transaction, which belongs to no database; whoever waits holds others.
_WAITING = """
    SELECT count(*) FROM pg_locks AS wanted
     WHERE NOT wanted.granted AND (%(kind)s::text IS NULL OR wanted.locktype = %(kind)s)
       AND EXISTS (SELECT 1 FROM pg_locks AS own JOIN pg_database AS here ON here.oid = own.database
                    WHERE own.pid = wanted.pid AND here.datname = current_database())
"""


def somebody_waits(kind: str | None = None) -> bool:
    """Whether a session of this database waits for a lock, of that kind where it is named."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, {"kind": kind})
        return cursor.fetchone()[0] > 0
