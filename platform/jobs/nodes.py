"""The rows of workers: a worker is alive because it says so every few seconds."""

import os
import socket
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connection

from jobs import conf

_BEAT: Final = """
    INSERT INTO jobs_worker (id, hostname, pid, pool, queues, concurrency, stopping, lost, started_at, heartbeat_at)
    VALUES (%(id)s, %(hostname)s, %(pid)s, %(pool)s, %(queues)s, %(concurrency)s, %(stopping)s, false,
            clock_timestamp(), clock_timestamp())
    ON CONFLICT (id) DO UPDATE
       SET heartbeat_at = clock_timestamp(), stopping = EXCLUDED.stopping, stopped_at = NULL, lost = false
"""


@dataclass(frozen=True, kw_only=True)
class Node:
    """What a worker says of itself."""

    queues: tuple[str, ...]
    concurrency: int
    pool: str = ""
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    hostname: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)


def beat(node: Node, *, stopping: bool = False) -> None:
    """Write that `node` is alive; its row is made at the first beat, and again should it have been deleted."""
    values: dict[str, Any] = {
        "id": node.id,
        "hostname": node.hostname[:255],
        "pid": node.pid,
        "pool": node.pool[:30],
        "queues": list(node.queues),
        "concurrency": node.concurrency,
        "stopping": stopping,
    }
    with connection.cursor() as cursor:
        cursor.execute(_BEAT, values)


def goodbye(node: Node) -> None:
    """Write that `node` has stopped."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_worker SET stopping = true, stopped_at = clock_timestamp() WHERE id = %s", [node.id]
        )


def mark_lost() -> int:
    """Mark the workers that fell silent without a goodbye; how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE jobs_worker SET lost = true, stopped_at = clock_timestamp()
                WHERE stopped_at IS NULL AND heartbeat_at < clock_timestamp() - make_interval(secs => %s)""",
            [3 * conf.seconds("JOBS_WORKER_SILENT_SECONDS")],
        )
        return cursor.rowcount


def forget_ended() -> int:
    """Delete the rows of workers that ended over a day ago; how many."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM jobs_worker WHERE stopped_at < clock_timestamp() - interval '1 day'")
        return cursor.rowcount
