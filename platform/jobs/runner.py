"""Claim a batch, run its handler, settle what it left open, tell who asked. No Celery here."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from common.logs import context
from jobs import claims, conf, errors, kinds
from jobs.batches import Batch, ClaimedJob
from jobs.heart import heart
from jobs.kinds import Kind

logger = logging.getLogger(__name__)

_GATHER_STEP_SECONDS: Final = 0.004

# How many jobs the last batch of each kind had in this process.
_last_sizes: dict[str, int] = {}


def answer_bell(kind_name: str, *, ring: Callable[[str], object]) -> int:
    """Work through what waits of one kind for a short slice; how many batches were run.

    At most one bell is rung for each that is answered: at once when more waits than this process takes, so that an
    idle one wakes, and that one stays in the queue while all are busy. So bells neither die out nor multiply, and
    the kinds of a queue take turns.
    """
    try:
        kind = kinds.get(kind_name)
    except kinds.UnknownKind as exc:
        logger.error("%s: its jobs wait until one does", exc)
        return 0
    rung = False
    batches = 0
    until = time.monotonic() + conf.seconds("JOBS_SLICE_SECONDS")
    while not heart.stopping:
        close_old_connections()
        batch = claim_batch(kind)
        if not batch:
            return batches
        rung = rung or _ring_for_more(kind, ring)
        run_batch(batch)
        batches += 1
        if time.monotonic() >= until:
            break
    if not rung:
        _ring_for_more(kind, ring)
    return batches


def _ring_for_more(kind: Kind, ring: Callable[[str], object]) -> bool:
    """Ring if more of `kind` waits; whether it did.

    What the database raises ends here: jobs claimed by then must be run, since the heart keeps them from all others.
    """
    try:
        if not claims.kinds_waiting([kind.name]):
            return False
    except (DatabaseError, InterfaceError) as exc:
        # The sweep will ring. Whoever comes next opens a new connection.
        logger.warning("not seen whether more of %s waits: %s", kind.name, errors.describe(exc).for_log())
        connection.close()
        return False
    ring(kind.name)
    return True


def claim_batch(kind: Kind) -> Batch:
    """The next batch of `kind`, after the gather window where fewer wait than came together the last time."""
    expected = _last_sizes.get(kind.name, 1)
    if expected > 1 and kind.gather_seconds > 0:
        _gather(kind, expected)
    jobs = [ClaimedJob(taken, kind) for taken in claims.claim(kind, worker_id=heart.worker_id)]
    if jobs:
        _last_sizes[kind.name] = len(jobs)
    heart.hold(jobs)
    return Batch(kind, jobs)


def _gather(kind: Kind, expected: int) -> None:
    """Wait until so many wait, for the gather window at most.

    Who comes alone, time after time, is not kept waiting for company. Where many ask, they pile up behind the first
    one's batch anyway, and from then on those who were answered together and ask again are waited for. The window
    begins here, not with the oldest job: one that came too late for the last batch would else go alone, and the others
    behind it, again and again.
    """
    until = time.monotonic() + kind.gather_seconds
    while not heart.stopping:
        count = claims.waiting(kind)
        left = until - time.monotonic()
        if count == 0 or count >= expected or left <= 0:
            return
        time.sleep(min(left, _GATHER_STEP_SECONDS))


def run_batch(batch: Batch) -> None:
    """Run the handler over claimed jobs. What it raises ends in the jobs' rows, and in no log beyond its type.

    Raises only what is no Exception (a process that is told to exit), after the claims were given back.
    """
    with context.binding(**batch.log_ids()):
        _run(batch)


def _run(batch: Batch) -> None:
    raised: BaseException | None = None
    try:
        batch.kind.load_handler()(batch)
    except BaseException as exc:  # noqa: BLE001 - recorded in the jobs' rows
        raised = exc
    try:
        _settle(batch, raised)
    finally:
        heart.release(batch)
    batch.tell()
    if raised is not None and not isinstance(raised, Exception):
        raise raised


def _settle(jobs: Sequence[ClaimedJob], raised: BaseException | None) -> None:
    if raised is not None and not isinstance(raised, errors.JobError):
        logger.warning("jobs %s: %s", [job.id for job in jobs], errors.describe(raised).for_log())
    culprits = [job for job in jobs if raised is not None and job.raised(raised)]
    for job in jobs:
        suspects = 0 if culprits and job not in culprits else len(culprits or jobs)
        _settle_one(job, raised, suspects=suspects)


def _settle_one(job: ClaimedJob, raised: BaseException | None, *, suspects: int) -> None:
    for last in (False, True):
        try:
            job.settle(raised, suspects=suspects)
        except (DatabaseError, InterfaceError) as exc:
            # The connection may have died under the handler: once more over a new one; else the lease runs out.
            connection.close()
            if last:
                logger.error("%r could not be settled: %s", job, errors.describe(exc).for_log())
        else:
            return


def run_waiting(kind_names: Iterable[str] | None = None, *, limit: int = 10_000) -> int:
    """Run in this process whatever can be claimed now, until nothing is left; how many batches that were.

    For tests and consoles; in an atomic block a handler's `finishing` refuses to run.
    """
    names = [kind.name for kind in kinds.all_kinds()] if kind_names is None else list(kind_names)
    batches = 0
    while batches < limit:
        before = batches
        for name in names:
            batch = claim_batch(kinds.get(name))
            if batch:
                run_batch(batch)
                batches += 1
        if batches == before:
            break
    return batches
