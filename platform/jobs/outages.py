"""Whether an error says that a server is away or a disk is full: nothing against the job that met it.

Such a job goes on waiting, and the attempt does not count. With its few attempts a few seconds apart, every job that
came to its end while the object store restarts would fail for good, and somebody would have to find and retry them all.
"""

import errno
from collections.abc import Iterator
from typing import Final

import psycopg

from common.objects import ObjectStoreUnavailable

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
# PostgreSQL's classes of errors: no connection, no resources (its disk, its connections), shutting or starting, I/O.
_AWAY: Final = ("08", "53", "57P", "58")


def is_outage(error: BaseException) -> bool:
    """Whether `error`, or what it was raised from, is an outage.

    >>> is_outage(OSError(errno.ENOSPC, "")), is_outage(OSError(errno.ENOENT, ""))
    (True, False)
    """
    return any(_is_away(cause) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it was said to come from; what it was merely raised beside says nothing."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__


def _is_away(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in _FULL
    if isinstance(error, psycopg.Error):
        # Without a code it is no answer of the server's: there was no connection, or it broke.
        broken = error.sqlstate is None and isinstance(error, psycopg.OperationalError)
        return broken or (error.sqlstate or "").startswith(_AWAY)
    return isinstance(error, ObjectStoreUnavailable)
