"""The doorbell: a Celery message that says only "there is work of this kind".

A lost bell costs time, never work: beat's sweep rings again for whatever waits. So a broker that is away makes nobody
fail, and a bell that rings twice finds nothing the second time.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from celery import current_app
from django.db import connection, transaction

from jobs import claims, errors, kinds
from jobs.kinds import UnknownKind

logger = logging.getLogger(__name__)

TASK: Final = "workers.ring"

# One more try at once: the connection kept from the last bell may have died with a restarted broker.
_RETRY: Final = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


def ring(kind_name: str) -> bool:
    """Send the bell of a kind to its queue; False where it could not be sent."""
    try:
        queue = kinds.get(kind_name).queue
        current_app.send_task(TASK, args=[kind_name], queue=queue, ignore_result=True, retry=True, retry_policy=_RETRY)
    except UnknownKind as exc:
        logger.error("%s: no bell for it", exc)
        return False
    except Exception as exc:  # noqa: BLE001 - whatever the broker's client raises, the row stands and the sweep rings
        logger.warning("no bell for %s, the sweep will ring: %s", kind_name, errors.describe(exc).for_log())
        return False
    return True


@dataclass(frozen=True)
class _Bell:
    kind_name: str

    def __call__(self) -> None:
        ring(self.kind_name)


def ring_after_commit(kind_names: Iterable[str]) -> None:
    """Ring each kind once when the transaction has committed, however often it was asked for within it."""
    due = {
        hook.kind_name
        for entry in connection.run_on_commit
        if isinstance(hook := entry[1], _Bell) and entry[0] <= set(connection.savepoint_ids)
    }
    for name in sorted(set(kind_names) - due):
        transaction.on_commit(_Bell(name), robust=True)


def ring_waiting(queues: Iterable[str] | None = None) -> int:
    """Ring once for each kind, of these queues or of all, of which a job waits; how many bells were sent."""
    names = [kind.name for kind in kinds.all_kinds(None if queues is None else list(queues))]
    return sum(ring(name) for name in claims.kinds_waiting(names))
