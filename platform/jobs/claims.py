"""Taking jobs, and ending what was taken: every statement that needs or names a claim.

Each is one statement in PostgreSQL's time. Rows are locked with SKIP LOCKED, so that claims of many processes never
wait for each other and never overlap; whatever ends an attempt names the claim, so that it changes nothing once
another worker has taken the job over.
"""

import random
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from jobs import conf, endings, stored_json
from jobs.endings import Ended
from jobs.errors import Described
from jobs.kinds import Kind

_AVAILABLE: Final = "kind = %(kind)s AND state = 'waiting' AND available_at <= statement_timestamp()"
_ORDER: Final = "priority DESC, available_at, id"

_TAKE: Final = """
    UPDATE jobs_job AS j
       SET state = 'running', claim = %(claim)s, attempts = j.attempts + 1, worker_id = %(worker)s,
           lease_until = clock_timestamp() + make_interval(secs => %(lease)s), started_at = clock_timestamp(),
           progress_done = NULL, progress_total = NULL, progress_message = ''
      FROM picked WHERE j.id = picked.id
    RETURNING j.id, j.payload::text, j.workspace_id, j.end_user_id, j.origin, j.attempts, j.max_attempts,
              j.batch_key, j.alone, j.priority, j.available_at
"""

# A worker that was told to stop claims nothing more, even before its own processes have heard of it.
_MAY_CLAIM: Final = "NOT EXISTS (SELECT 1 FROM jobs_worker AS w WHERE w.id = %(worker)s AND w.stopping)"

_CLAIM_ONE: Final = f"""
    WITH picked AS MATERIALIZED (
        SELECT id FROM jobs_job WHERE {_AVAILABLE} AND {_MAY_CLAIM}
         ORDER BY {_ORDER} LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
    {_TAKE}
"""  # noqa: S608 - composed of this module's own constants

# The first in order decides what the batch shares; a job that ran badly in company (`alone`) gets none.
_CLAIM_BATCH: Final = f"""
    WITH head AS MATERIALIZED (
        SELECT id, batch_key, alone FROM jobs_job WHERE {_AVAILABLE} AND {_MAY_CLAIM}
         ORDER BY {_ORDER} LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED),
    company AS MATERIALIZED (
        SELECT id FROM jobs_job
         WHERE {{same}} AND NOT alone
           AND (SELECT NOT alone FROM head) AND id <> (SELECT id FROM head)
         ORDER BY {_ORDER} LIMIT %(company)s FOR NO KEY UPDATE SKIP LOCKED),
    picked AS (SELECT id FROM head UNION ALL SELECT id FROM company)
    {_TAKE}
"""  # noqa: S608

# By its key alone, without naming the kind: then the index of batches, and no other, gives the order.
_SAME_KEY: Final = """state = 'waiting' AND available_at <= statement_timestamp()
           AND batch_key <> '' AND batch_key = (SELECT batch_key FROM head)"""

# What a batch takes up while it runs. Nothing while the first in order is one that it cannot take: its turn comes
# sooner if this batch ends.
_CLAIM_MORE: Final = f"""
    WITH head AS MATERIALIZED (
        SELECT batch_key, alone FROM jobs_job WHERE {_AVAILABLE} ORDER BY {_ORDER} LIMIT 1),
    picked AS MATERIALIZED (
        SELECT id FROM jobs_job
         WHERE {{same}} AND NOT alone AND {_MAY_CLAIM}
           AND EXISTS (SELECT 1 FROM head WHERE batch_key = %(batch_key)s AND NOT alone)
         ORDER BY {_ORDER} LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED)
    {_TAKE}
"""  # noqa: S608

_WAITING: Final = f"""
    WITH head AS MATERIALIZED (SELECT batch_key FROM jobs_job WHERE {_AVAILABLE} ORDER BY {_ORDER} LIMIT 1)
    SELECT count(*) FROM (SELECT id FROM jobs_job WHERE {{same}} ORDER BY {_ORDER} LIMIT %(enough)s) AS w
"""  # noqa: S608

_KINDS_WAITING: Final = """
    SELECT name FROM unnest(%s::text[]) AS name
     CROSS JOIN LATERAL (SELECT 1 FROM jobs_job WHERE kind = name AND state = 'waiting'
                            AND available_at <= statement_timestamp() LIMIT 1) AS one
"""

_FINISH: Final = """
    UPDATE jobs_job AS j
       SET state = 'done', finished_at = clock_timestamp(), claim = NULL, lease_until = NULL, cancel_requested = false,
           result = m.result, error_type = '', error_message = '', error_trace = '',
           progress_done = m.done, progress_total = m.total, progress_message = m.message
      FROM unnest(%(ids)s::bigint[], %(claims)s::uuid[], %(results)s::jsonb[], %(done)s::bigint[],
                  %(total)s::bigint[], %(messages)s::text[]) AS m (id, claim, result, done, total, message)
     WHERE j.id = m.id AND j.claim = m.claim AND j.state = 'running'
    RETURNING j.id, j.kind, j.origin, j.state, j.workspace_id
"""

# What becomes of a claim that ends without success; the same words serve the sweep, which takes back expired ones.
_END_ATTEMPT: Final = """
    WITH ended AS (
        SELECT id, {forgiven} AS forgiven,
               CASE WHEN cancel_requested OR %(cancelled)s THEN 'cancelled'
                    WHEN %(retry)s AND (attempts < max_attempts OR {forgiven}) THEN 'waiting'
                    ELSE 'failed' END AS state
          FROM jobs_job WHERE {which})
    UPDATE jobs_job AS j
       SET state = ended.state, claim = NULL, lease_until = NULL,
           attempts = j.attempts - CASE WHEN ended.forgiven AND ended.state = 'waiting' THEN 1 ELSE 0 END,
           finished_at = CASE WHEN ended.state <> 'waiting' THEN clock_timestamp() END,
           available_at = CASE WHEN ended.state = 'waiting'
                               THEN clock_timestamp() + make_interval(secs => %(delay)s) ELSE j.available_at END,
           cancel_requested = ended.state = 'cancelled', alone = j.alone OR {alone},
           error_type = %(type)s, error_message = %(error)s, error_trace = %(trace)s
      FROM ended WHERE j.id = ended.id
    RETURNING j.id, j.kind, j.origin, j.state, j.workspace_id
"""

_FAIL: Final = _END_ATTEMPT.format(
    which="id = %(id)s AND claim = %(claim)s AND state = 'running' FOR NO KEY UPDATE",
    alone="%(alone)s",
    # An outage, of which the job has not waited for the end for too long already.
    forgiven="%(outage)s AND created_at > clock_timestamp() - make_interval(secs => %(patience)s)",
)
# A second expiry looks like a job that kills its process: from then on it does so alone.
_EXPIRE: Final = _END_ATTEMPT.format(
    which="""state = 'running' AND lease_until < clock_timestamp()
          ORDER BY id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED""",
    alone="j.attempts >= 2",
    forgiven="false",
)

_GIVE_BACK: Final = """
    UPDATE jobs_job
       SET state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'waiting' END,
           finished_at = CASE WHEN cancel_requested THEN clock_timestamp() END,
           attempts = attempts - 1, claim = NULL, lease_until = NULL,
           available_at = clock_timestamp() + make_interval(secs => %(delay)s)
     WHERE id = %(id)s AND claim = %(claim)s AND state = 'running'
    RETURNING id, kind, origin, state, workspace_id
"""

# As above, but of nobody in particular: those who held them are not of this installation.
_GIVE_BACK_ALL: Final = """
    UPDATE jobs_job
       SET state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'waiting' END,
           finished_at = CASE WHEN cancel_requested THEN clock_timestamp() END,
           attempts = attempts - CASE WHEN cancel_requested THEN 0 ELSE 1 END, claim = NULL, lease_until = NULL,
           worker_id = NULL, available_at = clock_timestamp()
     WHERE state = 'running'
    RETURNING id, kind, origin, state, workspace_id
"""


# The table is analysed when most of its jobs are done. Until the next time PostgreSQL takes waiting ones for rare, and
# would rather sort 100,000 of them than follow an index in the order of claims.
_FOLLOW_INDEX: Final = """
    SELECT set_config('enable_sort', 'off', true), set_config('enable_seqscan', 'off', true),
           set_config('enable_bitmapscan', 'off', true)
"""


@contextmanager
def _following_the_index() -> Iterator[CursorWrapper]:
    """A short transaction in which a query over waiting jobs follows the index that has their order."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_FOLLOW_INDEX)
        yield cursor


@dataclass(frozen=True, kw_only=True)
class Taken:
    """One claimed row."""

    id: int
    claim: uuid.UUID
    payload: dict[str, Any]
    workspace_id: int | None
    end_user_id: int | None
    origin: str
    attempt: int
    max_attempts: int
    batch_key: str = ""
    alone: bool = False


def claim(kind: Kind, *, worker_id: uuid.UUID | None = None) -> list[Taken]:
    """Take the next batch of `kind`, best first; empty where nothing is available."""
    sql = _CLAIM_ONE if kind.batch_size == 1 else _CLAIM_BATCH.format(same=_SAME_KEY if kind.batch_by else _AVAILABLE)
    return _take(sql, kind, {"worker": worker_id, "company": kind.batch_size - 1})


def claim_more(kind: Kind, *, batch_key: str, limit: int, worker_id: uuid.UUID | None = None) -> list[Taken]:
    """Take up to `limit` jobs that could stand in a running batch of this key, best first.

    Empty as well where the next job in the order of claims is none of them.
    """
    sql = _CLAIM_MORE.format(same=_SAME_KEY if kind.batch_by else _AVAILABLE)
    return _take(sql, kind, {"worker": worker_id, "batch_key": batch_key, "limit": limit})


def _take(sql: str, kind: Kind, values: dict[str, Any]) -> list[Taken]:
    claim_id = uuid.uuid4()
    with _following_the_index() as cursor:
        cursor.execute(sql, {"kind": kind.name, "claim": claim_id, "lease": kind.lease_seconds, **values})
        rows = cursor.fetchall()
    rows.sort(key=lambda row: (-row[9], row[10], row[0]))
    return [
        Taken(
            id=row[0],
            claim=claim_id,
            payload=stored_json.load(row[1]),
            workspace_id=row[2],
            end_user_id=row[3],
            origin=row[4],
            attempt=row[5],
            max_attempts=row[6],
            batch_key=row[7],
            alone=row[8],
        )
        for row in rows
    ]


def waiting(kind: Kind) -> int:
    """How many jobs, up to a full batch, could be claimed together now."""
    sql = _WAITING.format(same=_SAME_KEY if kind.batch_by else _AVAILABLE)
    with _following_the_index() as cursor:
        cursor.execute(sql, {"kind": kind.name, "enough": kind.batch_size})
        return int(cursor.fetchone()[0])


def kinds_waiting(kind_names: Sequence[str]) -> list[str]:
    """Those of `kind_names` of which a job could be claimed now."""
    with _following_the_index() as cursor:
        cursor.execute(_KINDS_WAITING, [list(kind_names)])
        return [row[0] for row in cursor.fetchall()]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What a job is marked with as done, by the claim that holds it."""

    id: int
    claim: uuid.UUID
    result: dict[str, Any] | None
    done: int | None
    total: int | None
    message: str


def finish(marks: Sequence[Mark]) -> set[int]:
    """Mark these jobs as done; the ids of those that their claims still hold. Runs in the transaction of the effect."""
    values: dict[str, Any] = {
        "ids": [mark.id for mark in marks],
        "claims": [mark.claim for mark in marks],
        "results": [
            None if mark.result is None else stored_json.dump(mark.result, what="a job's result") for mark in marks
        ],
        "done": [mark.done for mark in marks],
        "total": [mark.total for mark in marks],
        "messages": [mark.message for mark in marks],
    }
    return {ended.id for ended in _end(_FINISH, values)}


def fail(
    job_id: int,
    claim_id: uuid.UUID,
    *,
    error: Described,
    attempt: int,
    retry: bool,
    alone: bool,
    cancelled: bool = False,
    outage: bool = False,
) -> Ended | None:
    """End the attempt: back-off, failed or cancelled. None where the claim is lost.

    After an `outage` (see `jobs.outages`) the job waits, and the attempt does not count.
    """
    values = _error_values(error) | {
        "id": job_id,
        "claim": claim_id,
        "retry": retry,
        "cancelled": cancelled,
        "alone": alone,
        "outage": outage,
        "patience": conf.seconds("JOBS_OUTAGE_PATIENCE_SECONDS"),
        "delay": _spread(conf.seconds("JOBS_OUTAGE_SECONDS")) if outage else backoff_seconds(attempt),
    }
    ended = _end(_FAIL, values)
    return ended[0] if ended else None


def give_back(job_id: int, claim_id: uuid.UUID, *, delay_seconds: float = 0.0) -> bool:
    """Let another worker have the job; the attempt does not count. False where the claim is lost."""
    return bool(_end(_GIVE_BACK, {"id": job_id, "claim": claim_id, "delay": delay_seconds}))


def give_back_all() -> list[Ended]:
    """Let others have every running job; the attempts do not count. Only where no worker can be alive."""
    return _end(_GIVE_BACK_ALL, {})


def take_back_expired(*, limit: int = 1000) -> list[Ended]:
    """End the attempts whose lease ran out: someone else runs them, or, attempts exhausted, they failed."""
    error = Described("jobs.errors.LeaseExpired", "The worker fell silent and its lease ran out.", "")
    values = _error_values(error) | {"retry": True, "cancelled": False, "delay": 0.0, "limit": limit}
    return _end(_EXPIRE, values)


def _end(statement: str, values: dict[str, Any]) -> list[Ended]:
    """End attempts, and let the ends be recorded that are a job's; what each has become."""
    # A savepoint would be one more for every job that is done: whoever is in a transaction rolls all of it back.
    with transaction.atomic(savepoint=False):
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            ended = [Ended(*row) for row in cursor.fetchall()]
        endings.record(ended)
    return ended


def backoff_seconds(attempt: int) -> float:
    """How long the next attempt waits: doubling, bounded, and spread so that failed jobs do not come back at once."""
    longest = min(
        conf.seconds("JOBS_BACKOFF_MAX_SECONDS"), conf.seconds("JOBS_BACKOFF_SECONDS") * 2.0 ** min(attempt - 1, 30)
    )
    return _spread(longest)


def _spread(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def _error_values(error: Described) -> dict[str, Any]:
    return {"type": error.type[:200], "error": error.message[:500], "trace": error.trace}
