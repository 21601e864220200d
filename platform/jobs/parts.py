"""The parts that this app talks to, as readiness sees them: the broker, and the workers by their heartbeats."""

from typing import Final

from celery import current_app

from common.monitoring.readiness import Found, Part
from jobs.kinds import QUEUES
from jobs.selectors import live_workers


def _broker() -> Found:
    # A connection of its own: one of the pool may wait for an answer that never comes.
    with current_app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
    return Found()


def _workers() -> Found:
    counts = workers_by_queue()
    return Found("up" if all(counts.values()) else "missing", {"queues": counts})


def workers_by_queue() -> dict[str, int]:
    """How many live workers serve each queue."""
    serving = [worker.queues for worker in live_workers()]
    return {queue: sum(queue in queues for queues in serving) for queue in QUEUES}


BROKER: Final = Part(name="broker", ask=_broker)
# Not required: what they would do waits in the table, and sending requests elsewhere would bring no worker back.
WORKERS: Final = Part(name="workers", ask=_workers, required=False)
