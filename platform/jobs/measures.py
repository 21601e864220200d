"""Numbers about jobs: how each attempt ended is counted where it ended, what waits and runs is read at the scrape."""

from collections.abc import Iterator
from typing import Final

from django.db import connection
from prometheus_client import Metric

from common.monitoring.counted import counter, histogram
from common.monitoring.exposition import gauge
from jobs import kinds
from jobs.parts import workers_by_queue

MOST_COUNTED: Final = 10_000

ATTEMPT_SECONDS: Final = histogram(
    "job_attempt_seconds",
    "From a job's claim to the end of that attempt, by kind and outcome; jobs of one batch each take its time.",
    ["kind", "outcome"],
    bounds=(0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000),
)
LEASES_EXPIRED: Final = counter("job_leases_expired", "Attempts that were taken back since their worker fell silent.")
WORKERS_LOST: Final = counter("workers_lost", "Workers that fell silent without saying goodbye.")

# As a job ended in the hands of a process (see `batches.ClaimedJob.ended_as`), and what that is called here.
_OUTCOMES: Final = {
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "waiting": "retried",
    "given back": "given-back",
    "lost": "lost",
}

# Of each kind the next to be claimed: what an index gives without reading the rest.
_QUEUES: Final = """
    SELECT k.kind, w.waiting, w.oldest_seconds, coalesce(r.running, 0)
      FROM unnest(%(kinds)s::text[]) AS k (kind)
      LEFT JOIN LATERAL (
           SELECT count(*) AS waiting,
                  extract(epoch FROM statement_timestamp() - min(next.available_at))::float8 AS oldest_seconds
             FROM (SELECT available_at FROM jobs_job
                    WHERE state = 'waiting' AND kind = k.kind AND available_at <= statement_timestamp()
                    ORDER BY priority DESC, available_at, id LIMIT %(most)s) AS next) AS w ON true
      LEFT JOIN (SELECT kind, count(*) AS running FROM jobs_job WHERE state = 'running' GROUP BY kind) AS r
             ON r.kind = k.kind
"""


def observe_end(kind_name: str, *, how: str, seconds: float) -> None:
    """Count the end of an attempt; `how` as `ClaimedJob.ended_as` has it."""
    ATTEMPT_SECONDS.labels(kind_name, _OUTCOMES[how]).observe(seconds)


def queues() -> Iterator[Metric]:
    """What waits and runs of each kind, and who serves each queue."""
    labels = ["queue", "kind"]
    waiting = gauge("jobs_waiting", f"Jobs that could be claimed now, counted up to {MOST_COUNTED}.", labels)
    oldest = gauge(
        "jobs_oldest_waiting_seconds",
        f"For how long the oldest of the next {MOST_COUNTED} could have been claimed; 0 where none waits.",
        labels,
    )
    running = gauge("jobs_running", "Jobs that a worker holds.", labels)
    queue_of = {kind.name: kind.queue for kind in kinds.all_kinds()}
    with connection.cursor() as cursor:
        cursor.execute(_QUEUES, {"kinds": list(queue_of), "most": MOST_COUNTED})
        for kind, count, seconds, held in cursor.fetchall():
            waiting.add_metric([queue_of[kind], kind], count)
            oldest.add_metric([queue_of[kind], kind], max(0.0, seconds or 0.0))
            running.add_metric([queue_of[kind], kind], held)
    workers = gauge("workers", "Live workers that serve a queue.", ["queue"])
    for queue, count in workers_by_queue().items():
        workers.add_metric([queue], count)
    yield from (waiting, oldest, running, workers)
