"""What others do with jobs: enqueue, cancel, retry, sweep, purge."""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from django.db import connection, transaction

from jobs import bells, claims, conf, endings, kinds, measures, nodes, origins, stored_json, sweeps
from jobs.endings import Ended
from jobs.models import UNFINISHED, Job

logger = logging.getLogger(__name__)

_CHUNK: Final = 5_000
# Any number that no other advisory lock of this database uses.
_SWEEP_LOCK: Final = 7_062_024_031


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """A job to be. `dedupe_key`: at most one unfinished job has it."""

    kind: str
    payload: dict[str, Any] = field(default_factory=dict)
    workspace_id: int | None = None
    end_user_id: int | None = None
    origin: str = ""
    priority: int = 0
    dedupe_key: str | None = None
    delay_seconds: float = 0.0


# The conflict can only be about the dedupe key. Ids follow the order in which the jobs were given.
_INSERT: Final = """
    INSERT INTO jobs_job (kind, payload, workspace_id, end_user_id, origin, priority, dedupe_key, batch_key,
                          available_at, max_attempts, created_at, state, alone, attempts, cancel_requested,
                          progress_message, error_type, error_message, error_trace)
    SELECT kind, payload, workspace_id, end_user_id, origin, priority, dedupe_key, batch_key,
           clock_timestamp() + make_interval(secs => delay), max_attempts, clock_timestamp(), 'waiting', false, 0,
           false, '', '', '', ''
      FROM unnest(%s::text[], %s::jsonb[], %s::bigint[], %s::bigint[], %s::text[], %s::smallint[], %s::text[],
                  %s::text[], %s::float8[], %s::smallint[])
           WITH ORDINALITY AS given (kind, payload, workspace_id, end_user_id, origin, priority, dedupe_key, batch_key,
                                     delay, max_attempts, position)
     ORDER BY position
    ON CONFLICT DO NOTHING
    RETURNING id
"""


def enqueue(spec: JobSpec) -> Job:
    """Store one job and ring after the commit. With a dedupe key that is taken, the unfinished job that has it.

    Raises kinds.UnknownKind and stored_json.NotStorable. A broker that is away does not matter here.
    """
    while True:
        made = _insert([spec])
        if made:
            bells.ring_after_commit([spec.kind])
            _log_enqueued(made, [spec.kind])
            return Job.objects.get(pk=made[0])
        existing = Job.objects.filter(dedupe_key=spec.dedupe_key, state__in=UNFINISHED).first()
        if existing is not None:
            return existing
        # It finished between the two statements: then there is room for a new one.


def enqueue_many(specs: Iterable[JobSpec]) -> list[int]:
    """Store many jobs in one transaction and ring once a kind after the commit; the ids of the new ones, in order.

    A job whose dedupe key is taken, by an unfinished job or by one of these, is left out.
    """
    made: list[int] = []
    names: set[str] = set()
    remaining = iter(specs)
    # Nothing is caught within, so whoever's transaction this is in needs no way back to its beginning.
    with transaction.atomic(savepoint=False):
        while chunk := list(islice(remaining, _CHUNK)):
            made += _insert(chunk)
            names.update(spec.kind for spec in chunk)
        if made:
            bells.ring_after_commit(names)
            _log_enqueued(made, names)
    return made


def _log_enqueued(ids: list[int], kind_names: Iterable[str]) -> None:
    """The line by which a request is followed to its jobs: what is bound while it is written says whose they are."""
    names = ", ".join(sorted(kind_names))
    if len(ids) == 1:
        logger.info("%s %d was enqueued", names, ids[0], extra={"job_id": ids[0]})
    else:
        logger.info("%d jobs were enqueued, %d to %d: %s", len(ids), ids[0], ids[-1], names)


def _insert(specs: list[JobSpec]) -> list[int]:
    rows = [_row(spec) for spec in specs]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [list(column) for column in zip(*rows, strict=True)])
        return [row[0] for row in cursor.fetchall()]


def _row(spec: JobSpec) -> tuple[Any, ...]:
    kind = kinds.get(spec.kind)
    if not isinstance(spec.payload, dict):
        raise stored_json.NotStorable("a job's payload is an object")
    if spec.dedupe_key == "":
        raise ValueError("a dedupe key is not empty; None stands for no key")
    return (
        spec.kind,
        stored_json.dump(spec.payload, what="a job's payload"),
        spec.workspace_id,
        spec.end_user_id,
        spec.origin,
        spec.priority,
        spec.dedupe_key,
        _batch_key(kind, spec.payload),
        spec.delay_seconds,
        kind.max_attempts,
    )


def _batch_key(kind: kinds.Kind, payload: dict[str, Any]) -> str:
    """What jobs of one batch share: the kind and the value (or that there is none); empty without `batch_by`."""
    if kind.batch_by is None:
        return ""
    text = json.dumps(payload.get(kind.batch_by), sort_keys=True)
    return f"{kind.name}:{text if len(text) < 64 else hashlib.sha256(text.encode()).hexdigest()}"


@dataclass(frozen=True)
class Cancelled:
    """How many jobs are cancelled now, and how many are running and will be when their handlers look."""

    cancelled: int
    requested: int


_CANCEL: Final = """
    UPDATE jobs_job
       SET cancel_requested = true,
           state = CASE WHEN state = 'waiting' THEN 'cancelled' ELSE state END,
           finished_at = CASE WHEN state = 'waiting' THEN clock_timestamp() END
     WHERE {which} AND state IN ('waiting', 'running')
    RETURNING id, kind, origin, state, workspace_id
"""


def cancel(*job_ids: int) -> Cancelled:
    """Cancel these jobs: a waiting one at once, a running one when its handler checks. Finished ones stay."""
    return _cancel("id = ANY(%s)", list(job_ids))


def cancel_origin(origin: str) -> Cancelled:
    """Cancel every unfinished job of `origin`."""
    if not origin:
        raise ValueError("an origin is not empty")
    return _cancel("origin = %s AND origin <> ''", origin)


def _cancel(which: str, value: str | list[int]) -> Cancelled:
    with transaction.atomic(savepoint=False):
        with connection.cursor() as cursor:
            cursor.execute(_CANCEL.format(which=which), [value])
            asked = [Ended(*row) for row in cursor.fetchall()]
        at_once = [job for job in asked if job.state == "cancelled"]
        endings.record(at_once)
        _tell_after_commit([job.origin for job in at_once])
    return Cancelled(cancelled=len(at_once), requested=len(asked) - len(at_once))


_RETRY: Final = """
    WITH again AS (
        SELECT id FROM (
            SELECT id, dedupe_key, row_number() OVER (PARTITION BY dedupe_key ORDER BY id DESC) AS nth
              FROM jobs_job WHERE {which} AND state IN ('failed', 'cancelled')) AS f
         WHERE f.dedupe_key IS NULL
            OR (f.nth = 1 AND NOT EXISTS (SELECT 1 FROM jobs_job AS o WHERE o.dedupe_key = f.dedupe_key
                                             AND o.state IN ('waiting', 'running'))))
    UPDATE jobs_job AS j
       SET state = 'waiting', attempts = 0, available_at = clock_timestamp(), finished_at = NULL,
           cancel_requested = false, progress_done = NULL, progress_total = NULL, progress_message = ''
      FROM again WHERE j.id = again.id AND j.state IN ('failed', 'cancelled')
    RETURNING j.kind
"""


def retry(*job_ids: int) -> int:
    """Let these failed or cancelled jobs run again, with all their attempts; how many will.

    One whose dedupe key an unfinished job has meanwhile stays as it is.
    """
    return _retry("id = ANY(%s)", list(job_ids))


def retry_origin(origin: str) -> int:
    """`retry` for every failed or cancelled job of `origin`."""
    if not origin:
        raise ValueError("an origin is not empty")
    return _retry("origin = %s AND origin <> ''", origin)


def _retry(which: str, value: str | list[int]) -> int:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_RETRY.format(which=which), [value])
            names = [row[0] for row in cursor.fetchall()]
        bells.ring_after_commit(names)
    return len(names)


@dataclass(frozen=True)
class Swept:
    """What one sweep did; `ran` is False where another sweep was under way."""

    ran: bool
    taken_back: int = 0
    workers_lost: int = 0
    bells: int = 0


def sweep() -> Swept:
    """Take back expired leases, mark lost workers, run the registered sweeps, ring for what waits. Safe to repeat."""
    with _only_one_sweep() as alone:
        if not alone:
            return Swept(ran=False)
        ended = claims.take_back_expired()
        lost = nodes.mark_lost()
        if ended or lost:
            logger.warning("took back %d expired leases, %d workers lost", len(ended), lost)
            measures.LEASES_EXPIRED.inc(len(ended))
            measures.WORKERS_LOST.inc(lost)
        origins.tell(job.origin for job in ended if job.state != "waiting")
        sweeps.run_all()
        return Swept(ran=True, taken_back=len(ended), workers_lost=lost, bells=bells.ring_waiting())


@contextmanager
def _only_one_sweep() -> Iterator[bool]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_SWEEP_LOCK])
        alone = bool(cursor.fetchone()[0])
    try:
        yield alone
    finally:
        # A connection that died has let go of the lock with it.
        if alone and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_SWEEP_LOCK])


def purge(*, older_than_days: float | None = None) -> int:
    """Delete finished jobs past their retention, in short transactions, and workers that ended; how many jobs."""
    days = conf.retention_days() if older_than_days is None else older_than_days
    deleted = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                """DELETE FROM jobs_job WHERE id IN (
                     SELECT id FROM jobs_job WHERE finished_at < clock_timestamp() - make_interval(secs => %s)
                      ORDER BY finished_at LIMIT %s FOR UPDATE SKIP LOCKED)""",
                [days * 86_400, _CHUNK],
            )
            count = cursor.rowcount
        deleted += count
        if count < _CHUNK:
            break
    nodes.forget_ended()
    return deleted


def _tell_after_commit(origin_names: list[str]) -> None:
    distinct = sorted({origin for origin in origin_names if origin})
    if distinct:
        transaction.on_commit(lambda: origins.tell(distinct), robust=True)
