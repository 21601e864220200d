"""How each queue stands: what waits, for how long, what runs and what failed. Counts go no further than one reads."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import connection

from jobs import kinds
from jobs.selectors import live_workers

MOST_COUNTED: Final = 10_000

# Of the waiting jobs of each kind those that are next: they are what an index gives without reading the rest.
_STANDINGS: Final = """
    SELECT k.kind, w.waiting, w.reached, w.oldest, r.running, f.failed
      FROM unnest(%(kinds)s::text[]) AS k (kind)
      LEFT JOIN LATERAL (
           SELECT count(*) FILTER (WHERE next.visible) AS waiting, count(*) = %(most)s AS reached,
                  min(next.created_at) FILTER (WHERE next.visible) AS oldest
             FROM (SELECT created_at, {visible} AS visible FROM jobs_job
                    WHERE state = 'waiting' AND kind = k.kind
                    ORDER BY priority DESC, available_at, id LIMIT %(most)s) AS next) AS w ON true
      LEFT JOIN (SELECT kind, count(*) AS running FROM jobs_job
                  WHERE state = 'running' AND {visible} GROUP BY kind) AS r ON r.kind = k.kind
      LEFT JOIN (SELECT kind, count(*) AS failed
                   FROM (SELECT kind FROM jobs_job
                          WHERE state = 'failed' AND {visible}
                            AND finished_at > clock_timestamp() - interval '1 day'
                          ORDER BY finished_at DESC LIMIT %(most)s) AS lately
                  GROUP BY kind) AS f ON f.kind = k.kind
"""


@dataclass(frozen=True)
class KindStanding:
    """One kind of job. `waiting` is of the next 10,000 alone where `more` says that as many wait."""

    kind: str
    queue: str
    waiting: int
    more: bool
    oldest: datetime | None
    running: int
    failed: int
    """Within a day."""


@dataclass
class QueueStanding:
    """One queue: its kinds, and how many live workers serve it."""

    queue: str
    workers: int
    kinds: list[KindStanding] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        return sum(kind.waiting for kind in self.kinds)

    @property
    def more(self) -> bool:
        """Whether more wait than `waiting` says."""
        return any(kind.more for kind in self.kinds)

    @property
    def oldest(self) -> datetime | None:
        """When the one was enqueued that has waited longest."""
        return min((kind.oldest for kind in self.kinds if kind.oldest), default=None)

    @property
    def running(self) -> int:
        return sum(kind.running for kind in self.kinds)

    @property
    def failed(self) -> int:
        """Within a day."""
        return sum(kind.failed for kind in self.kinds)


def queue_standings(*, workspace_ids: Collection[int] | None) -> list[QueueStanding]:
    """Every queue with the jobs of these workspaces in it; with all jobs, those of no workspace too, for None."""
    workers = list(live_workers())
    found = {queue: QueueStanding(queue, sum(queue in worker.queues for worker in workers)) for queue in kinds.QUEUES}
    queue_of = {kind.name: kind.queue for kind in kinds.all_kinds()}
    for kind, waiting, more, oldest, running, failed in _rows(list(queue_of), workspace_ids):
        standing = KindStanding(kind, queue_of[kind], waiting, more, oldest, running or 0, failed or 0)
        found[queue_of[kind]].kinds.append(standing)
    return list(found.values())


def _rows(names: list[str], workspace_ids: Collection[int] | None) -> list[tuple[Any, ...]]:
    visible = "true" if workspace_ids is None else "coalesce(workspace_id = ANY(%(workspaces)s), false)"
    values: dict[str, Any] = {"kinds": names, "most": MOST_COUNTED, "workspaces": list(workspace_ids or [])}
    with connection.cursor() as cursor:
        cursor.execute(_STANDINGS.format(visible=visible), values)
        return list(cursor.fetchall())
