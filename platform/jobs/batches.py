"""What a handler is given: claimed jobs, each of which it finishes, fails or gives back."""

import logging
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, overload

from django.db import connection, transaction

from common.logs import context
from jobs import claims, kinds, measures, origins
from jobs.connections import freshen_connection
from jobs.errors import (
    ClaimLost,
    Described,
    JobCancelled,
    NotFinished,
    Permanent,
    WorkerStopping,
    chain,
    describe,
)
from jobs.heart import heart
from jobs.kinds import Kind
from jobs.outages import is_outage

__all__ = [
    "Batch",
    "ClaimLost",
    "ClaimedJob",
    "JobCancelled",
    "Permanent",
    "Progress",
    "WorkerStopping",
    "finishing_together",
]

logger = logging.getLogger(__name__)

GIVEN_BACK = "given back"
_MOST_LOGGED: Final = 20
# Less than the second after which PostgreSQL looks for a deadlock.
_MOMENT: Final = "300ms"


@dataclass(frozen=True)
class Progress:
    """How far a job is; `total` None where nobody knows."""

    done: int | None = None
    total: int | None = None
    message: str = ""


class ClaimedJob:
    """A job in the hands of this process.

    The effect of a job and its mark stand or fall together:

        with job.finishing(result={"rows": 3}):
            ...effects...

    Whatever ends it names the claim, so a job that was taken over meanwhile records nothing.
    """

    def __init__(self, taken: claims.Taken, kind: Kind) -> None:
        self.id = taken.id
        self.claim: uuid.UUID = taken.claim
        self.kind = kind
        self.payload: dict[str, Any] = taken.payload
        self.workspace_id = taken.workspace_id
        self.end_user_id = taken.end_user_id
        self.origin = taken.origin
        self.attempt = taken.attempt
        self.batch_key = taken.batch_key
        # Whether it ran badly in company, and shares its batch with no other.
        self.alone = taken.alone
        # How it ended here: a state's name, `GIVEN_BACK`, "lost", or None while it is open.
        self.ended_as: str | None = None
        # Set by the heart, from its own thread.
        self.lost = False
        self.cancel_requested = False
        self._progress = Progress()
        self.progress_unwritten = False
        self._claimed_at = time.monotonic()
        self._raised: BaseException | None = None

    def __repr__(self) -> str:
        return f"<{self.kind.name} {self.id}, attempt {self.attempt}>"

    # -- while it runs

    def check(self) -> None:
        """Call this now and then in long work.

        Raises ClaimLost (someone else has it), JobCancelled (someone asked that it end) or WorkerStopping (a gentle
        stop was asked for and its grace is over); letting them pass through the handler is right.
        """
        if self.lost:
            raise ClaimLost(f"job {self.id} was taken over")
        if self.cancel_requested:
            raise JobCancelled(f"job {self.id} was cancelled")
        if heart.grace_over:
            raise WorkerStopping(f"job {self.id} goes back: this worker is stopping")

    def progress(self, *, done: int | None = None, total: int | None = None, message: str | None = None) -> None:
        """Say how far the job is; what is None stays as it was. No user text in `message`.

        It is written by the heart over its own connection, so it is seen while the handler's transaction is open.
        """
        if (done is not None and done < 0) or (total is not None and total < 0):
            raise ValueError("progress is not negative")
        before = self._progress
        self._progress = Progress(
            done=before.done if done is None else done,
            total=before.total if total is None else total,
            message=before.message if message is None else message[:200].replace("\0", ""),
        )
        self.progress_unwritten = True

    def report(self, done: int, total: int, doing: str) -> None:
        """`check`, and then `progress`: what services that take long are given, to say how far they are."""
        self.check()
        self.progress(done=done, total=total, message=doing)

    def take_progress(self) -> Progress:
        """The latest progress, which the caller is about to write."""
        self.progress_unwritten = False
        return self._progress

    # -- how it ends

    @contextmanager
    def finishing(self, *, result: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """The transaction in which the job's effect is recorded and the job becomes done.

        Yields the result, which the block may fill. The mark comes last in the transaction, so that the row is free
        for heartbeats and progress while a long effect is written. Raises ClaimLost, and rolls the effect back, where
        the claim is no longer ours. What the block raises passes on; uncaught, it costs this job alone the attempt.
        """
        self._must_be_open()
        if self.lost:
            raise ClaimLost(f"job {self.id} was taken over")
        outcome = dict(result or {})
        try:
            with transaction.atomic(durable=True):
                yield outcome
                if not claims.finish([self._mark(outcome)]):
                    raise ClaimLost(f"job {self.id} was taken over")
        except ClaimLost as exc:
            self._raised = exc
            self.lost = True
            raise
        except BaseException as exc:
            self._raised = exc
            raise
        self._end("done")

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """For handlers of batches: what the block raises ends this job alone, and the loop goes on to the next.

        A cancelled job becomes cancelled, a lost one records nothing, any other exception costs it the attempt.
        WorkerStopping passes on: it concerns the whole batch.
        """
        try:
            yield
        except WorkerStopping:
            raise
        except ClaimLost:
            self.lost = True
            self._end("lost")
        except JobCancelled as exc:
            self._record(describe(exc), retry=False, cancelled=True)
        except Exception as exc:  # noqa: BLE001 - recorded as this job's error
            if self.ended_as is None:
                self.fail(exc)

    def fail(self, error: BaseException | str, *, retry: bool = True) -> None:
        """End the attempt with an error: again after a pause, or failed where attempts are used up.

        `retry=False`, or a `Permanent` error, fails at once. An outage (`jobs.outages`) costs a pause and no attempt.
        A text must hold no user text. A lost claim records nothing.
        """
        self._must_be_open()
        if isinstance(error, BaseException):
            permanent = isinstance(error, Permanent)
            self._record(describe(error), retry=retry and not permanent, outage=not permanent and is_outage(error))
        else:
            self._record(Described("jobs.errors.JobError", error, ""), retry=retry)

    def give_back(self, *, delay_seconds: float | None = None) -> None:
        """Let another worker have it; the attempt does not count.

        By default it may be claimed at once if this worker is stopping, else after a second.
        """
        self._must_be_open()
        if delay_seconds is None:
            delay_seconds = 0.0 if heart.stopping else 1.0
        held = claims.give_back(self.id, self.claim, delay_seconds=delay_seconds)
        self._end(GIVEN_BACK if held else "lost")

    # -- what is left open when the handler has ended

    def settle(self, raised: BaseException | None, *, suspects: int) -> None:
        """End the job as the end of its handler says; does nothing where it has ended.

        `raised` is what the handler raised. `suspects` counts the jobs that it may be due to, this one among them: 0
        where it is another's fault, which spares this one; several make each of them run alone the next time.
        """
        if self.ended_as is not None:
            return
        if self.lost:
            self._end("lost")
        elif self.cancel_requested:
            self._record(describe(JobCancelled(f"job {self.id} was cancelled")), retry=False, cancelled=True)
        elif raised is None and not heart.stopping:
            self._record(describe(NotFinished(f"the handler of {self.kind.name} left this job unfinished")), retry=True)
        elif raised is None or suspects == 0 or _spares(raised):
            self.give_back(delay_seconds=0.0)
        else:
            permanent = isinstance(raised, Permanent) and suspects == 1
            outage = not isinstance(raised, Permanent) and is_outage(raised)
            self._record(describe(raised), retry=not permanent, alone=suspects > 1 and not outage, outage=outage)

    def raised(self, exc: BaseException) -> bool:
        """Whether `exc` came out of this job's `finishing`."""
        return self._raised is not None and any(link is self._raised for link in chain(exc))

    def _mark(self, result: dict[str, Any]) -> claims.Mark:
        last = self._progress
        return claims.Mark(
            id=self.id, claim=self.claim, result=result, done=last.done, total=last.total, message=last.message
        )

    def _record(
        self,
        error: Described,
        *,
        retry: bool,
        alone: bool = False,
        cancelled: bool = False,
        outage: bool = False,
    ) -> None:
        ended = claims.fail(
            self.id,
            self.claim,
            error=error,
            attempt=self.attempt,
            retry=retry,
            alone=alone,
            cancelled=cancelled,
            outage=outage,
        )
        self._end(ended.state if ended else "lost")

    def _end(self, how: str) -> None:
        self._mark_ended(how)
        heart.release([self])

    def _mark_ended(self, how: str) -> None:
        self.ended_as = how
        seconds = time.monotonic() - self._claimed_at
        measures.observe_end(self.kind.name, how=how, seconds=seconds)
        ids = {"job_id": self.id, "workspace_id": self.workspace_id, "kind": self.kind.name, "job_ids": None}
        logger.info(
            "%s %d, attempt %d: %s after %.2f s", self.kind.name, self.id, self.attempt, how, seconds, extra=ids
        )

    def _must_be_open(self) -> None:
        if self.ended_as is not None:
            raise RuntimeError(f"job {self.id} has already ended here ({self.ended_as})")


@contextmanager
def finishing_together(jobs: Sequence[ClaimedJob]) -> Iterator[None]:
    """`finishing` for several jobs that come to nothing but their effects: all of them are done, or none.

    It takes as many statements as one job would. What is raised says nothing of which job it was due to, and leaves
    all of them open: whoever then finishes one after the other finds out. Raises ClaimLost where a claim is no longer
    ours, and OperationalError where somebody else holds a row for longer than a moment: a transaction that holds the
    rows of many gives way before it can stand in a circle of waiting ones.
    """
    for job in jobs:
        job._must_be_open()
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [_MOMENT])
        yield
        if len(claims.finish([job._mark({}) for job in jobs])) < len(jobs):
            raise ClaimLost("one of several jobs was taken over")
    for job in jobs:
        job._mark_ended("done")
    heart.release(jobs)


class Batch(Sequence[ClaimedJob]):
    """The claimed jobs that a handler is given, and a way to more of their like while it runs."""

    def __init__(self, kind: Kind, jobs: Iterable[ClaimedJob]) -> None:
        self.kind = kind
        self._jobs = list(jobs)
        self.alone = any(job.alone for job in self._jobs)
        self._batch_key = self._jobs[0].batch_key if self._jobs else ""

    def __len__(self) -> int:
        return len(self._jobs)

    @overload
    def __getitem__(self, index: int) -> ClaimedJob: ...
    @overload
    def __getitem__(self, index: slice) -> list[ClaimedJob]: ...
    def __getitem__(self, index: int | slice) -> ClaimedJob | list[ClaimedJob]:
        return self._jobs[index]

    def __iter__(self) -> Iterator[ClaimedJob]:
        return iter(tuple(self._jobs))

    def more(self, limit: int) -> list[ClaimedJob]:
        """Claim up to `limit` further jobs that may share this batch; they are settled with the rest.

        None while this worker is stopping, nor for a job that runs alone, nor while others wait for their turn: jobs
        of another kind of the queue or, in a worker of several queues that hold models, of those, or one that stands
        first in the order of claims and may not share the batch. So a handler that asks again and again keeps nobody
        waiting for longer than what it holds takes to end.

        Whoever asked for jobs that have ended meanwhile is told now, and those jobs leave the batch.
        """
        self.tell()
        self._jobs = [job for job in self._jobs if job.ended_as is None]
        freshen_connection()
        if limit < 1 or self.alone or heart.stopping or self.others_wait():
            return []
        taken = claims.claim_more(self.kind, batch_key=self._batch_key, limit=limit, worker_id=heart.worker_id)
        joined = [ClaimedJob(one, self.kind) for one in taken]
        self._jobs += joined
        heart.hold(joined)
        context.bind(**self.log_ids())
        return joined

    def log_ids(self) -> dict[str, Any]:
        """What the log says of work on this batch: its job, or the first of its jobs, and the workspace they share."""
        ids = [job.id for job in self._jobs][:_MOST_LOGGED]
        workspaces = {job.workspace_id for job in self._jobs}
        return {
            "kind": self.kind.name,
            "job_id": ids[0] if len(ids) == 1 else None,
            "job_ids": ids if len(ids) > 1 else None,
            "workspace_id": workspaces.pop() if len(workspaces) == 1 else None,
        }

    def tell(self) -> None:
        """Tell whoever asked for those of its jobs that have ended."""
        silent = (None, GIVEN_BACK, "lost", "waiting")
        origins.tell(job.origin for job in self._jobs if job.ended_as not in silent)

    def others_wait(self, *, of_its_kind: bool = False) -> bool:
        """Whether jobs of another kind wait for a worker like this one; who holds it for long may then give way.

        With `of_its_kind`, whether any job does: for one whose end is so far off that its like should not wait for it.
        A job that is given back comes after those that could be claimed before, so each has its turn.
        """
        queues = kinds.waited_for_together(self.kind.queue, served=heart.queues)
        others = [kind.name for kind in kinds.all_kinds(queues) if of_its_kind or kind.name != self.kind.name]
        return bool(claims.kinds_waiting(others))


def _spares(raised: BaseException) -> bool:
    """Whether what the handler raised says nothing against the jobs it leaves open (a stop, another job's end)."""
    return isinstance(raised, WorkerStopping | ClaimLost | JobCancelled) or not isinstance(raised, Exception)
