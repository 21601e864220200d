"""Sweeps: at its time, or when somebody asks, a policy has everybody retrained who is due, within its budget.

A sweep is recorded with all its retrainings in one transaction, and then lets them begin a window at a time, so that
neither a queue nor the object store holds the work of a hundred thousand people. How one begins, whoever trains says at
start (`on_begin`); from its end on, `retraining_ended` is told. What a lost process owed, `advance_stalled` finds.
"""

import logging
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Exists, OuterRef, Sum
from django.db.models.functions import Now

from jobs import errors
from jobs.models import Job
from jobs.services import JobSpec, enqueue
from training_app.kinds import SWEEP_RETRAINING
from training_app.retraining.due import Due, who_is_due
from training_app.retraining.models import (
    REASON_LENGTH,
    UNDER_WAY,
    Retraining,
    RetrainingPolicy,
    RetrainingSweep,
)
from users_app.audit import INSTALLATION, Actor, record
from users_app.models import AuditEntry

logger = logging.getLogger(__name__)

# So many times the users of a pass are under way at once: one trains, one is measured, one waits for neither.
_WINDOW_OF_SLOTS: Final = 3
_CHUNK: Final = 5_000
# Two beats ring for the same time within seconds of each other.
_SAME_TIME: Final = timedelta(seconds=30)

_RULES: Final = (
    "task",
    "rank",
    "hyperparameters",
    "exact",
    "seed",
    "new_documents",
    "new_share",
    "max_age_days",
    "minimum_documents",
    "budget_users",
    "budget_minutes",
    "order",
    "held_out_share",
    "held_out_most",
    "adapters_kept",
)


class Begin(Protocol):
    """Takes a retraining from waiting to its first step, or to its end, in the caller's transaction."""

    def __call__(self, *, retraining_id: int) -> object: ...


_begin: Begin | None = None
# The sweep that each thread is advancing: what ends while it begins is seen by the next look anyway.
_advancing = threading.local()


def on_begin(begin: Begin) -> None:
    """Begin retrainings by `begin` from now on."""
    global _begin
    _begin = begin


def request_sweep(*, policy: RetrainingPolicy, asked_by: str = "") -> Job:
    """Have a worker start a sweep of `policy`; asking twice, or by two beats, is asking once.

    `asked_by` says who asks, "api key 3" or "staff 5"; empty: the policy's schedule.
    """
    return enqueue(
        JobSpec(
            kind=SWEEP_RETRAINING.name,
            payload={"policy_id": policy.pk, "asked_by": asked_by},
            workspace_id=policy.workspace_id,
            dedupe_key=f"retraining-policy:{policy.pk}",
        )
    )


def request_scheduled_sweep(*, policy_id: int) -> Job | None:
    """`request_sweep` at a policy's time; None where the policy is gone or disabled."""
    policy = RetrainingPolicy.objects.filter(pk=policy_id, enabled=True).first()
    return None if policy is None else request_sweep(policy=policy)


def start_requested_sweep(*, policy: RetrainingPolicy, asked_by: str) -> RetrainingSweep | None:
    """`start_sweep` for a job of `request_sweep`; also None where the schedule's time was answered already."""
    if not asked_by and (not policy.enabled or _was_just_swept(policy)):
        return None
    return start_sweep(policy=policy, asked_by=asked_by)


@transaction.atomic
def start_sweep(*, policy: RetrainingPolicy, asked_by: str = "", at: datetime | None = None) -> RetrainingSweep | None:
    """Record a sweep of `policy` with everybody who is due, and let the first of them begin after the commit.

    None where a sweep of it is running, or was begun since `policy` was read: of two that start one at the same
    moment, one does. It is done at once where nobody is due. `at`: as of that moment instead of now.

    Raises `lamp.catalogue.UnknownTask` where the policy's task is no more.
    """
    running = RetrainingSweep.objects.filter(policy=OuterRef("pk"), state=RetrainingSweep.State.RUNNING)
    unchanged = RetrainingPolicy.objects.filter(pk=policy.pk, last_swept_at=policy.last_swept_at)
    if unchanged.filter(~Exists(running)).update(last_swept_at=Now() if at is None else at) != 1:
        return None
    policy.refresh_from_db()
    due = _held(who_is_due(policy=policy, at=at))
    sweep = RetrainingSweep.objects.create(policy=policy, asked_by=asked_by, rules=_rules_of(policy), due=len(due))
    _record(sweep, policy, due)
    sweep.due = sweep.retrainings.count()
    sweep.beyond_budget = sweep.retrainings.filter(state=Retraining.State.BEYOND_BUDGET).count()
    sweep.save(update_fields=["due", "beyond_budget"])
    if sweep.due == sweep.beyond_budget:
        _end(sweep, RetrainingSweep.State.DONE)
    else:
        transaction.on_commit(lambda: _advance_and_log(sweep.pk))
    sweep.refresh_from_db()
    return sweep


def retraining_ended(*, sweep_id: int) -> None:
    """A retraining of this sweep has come to an end: after the commit, others may begin, or the sweep is done."""
    transaction.on_commit(lambda: _advance_and_log(sweep_id))


def advance(*, sweep_id: int) -> None:
    """Let as many retrainings of a running sweep begin as there is room for, and end it after the last. Safe to repeat.

    Each begins in a transaction of its own, which holds the sweep and then that one end user: whoever holds end users
    waits for no sweep, so that nobody waits in a circle.
    """
    if getattr(_advancing, "sweep_id", None) == sweep_id:
        return
    before, _advancing.sweep_id = getattr(_advancing, "sweep_id", None), sweep_id
    try:
        while _begin_next(sweep_id):
            pass
    finally:
        _advancing.sweep_id = before


def advance_stalled() -> None:
    """Beat's sweep: move on every running sweep, whatever call was lost."""
    running = RetrainingSweep.objects.filter(state=RetrainingSweep.State.RUNNING).order_by("pk")
    for sweep_id in running.values_list("pk", flat=True):
        _advance_and_log(sweep_id)


@transaction.atomic
def cancel_sweep(*, sweep: RetrainingSweep, by: Actor = INSTALLATION) -> bool:
    """Let nobody else of `sweep` begin; what is under way comes to its end. False where the sweep had ended."""
    held = RetrainingSweep.objects.select_for_update().filter(pk=sweep.pk, state=RetrainingSweep.State.RUNNING).first()
    if held is None:
        return False
    held.retrainings.filter(state=Retraining.State.WAITING).update(
        state=Retraining.State.CANCELLED, reason="The sweep was cancelled.", finished_at=Now()
    )
    _end(held, RetrainingSweep.State.CANCELLED)
    action = AuditEntry.Action.RETRAINING_CANCELLED
    record(workspace=held.policy.workspace, action=action, by=by, subject=str(held.pk))
    return True


def _was_just_swept(policy: RetrainingPolicy) -> bool:
    apart = _SAME_TIME
    if policy.interval is not None:
        period: timedelta = policy.interval.schedule.run_every
        apart = min(apart, period / 2)
    return RetrainingPolicy.objects.filter(pk=policy.pk, last_swept_at__gt=Now() - apart).exists()


def _rules_of(policy: RetrainingPolicy) -> dict[str, Any]:
    base_model = policy.base_model
    return {
        **{name: getattr(policy, name) for name in _RULES},
        "base_model": f"{base_model.name}@{base_model.revision}",
    }


def _held(due: Sequence[Due]) -> list[Due]:
    """Those of `due` who are still there. Until the transaction ends nobody erases them; their profiles may grow."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM users_app_enduser WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE",
            [[one.end_user_id for one in due]],
        )
        standing = {pk for (pk,) in cursor.fetchall()}
    return [one for one in due if one.end_user_id in standing]


def _record(sweep: RetrainingSweep, policy: RetrainingPolicy, due: Sequence[Due]) -> None:
    """A retraining for each of `due`; those beyond the budget have ended with that.

    Whom another policy's sweep has taken up a moment ago is left out. In one order, so that two sweeps do not wait for
    each other in a circle.
    """
    budget = policy.budget_users
    numbered = sorted(enumerate(due), key=lambda pair: pair[1].end_user_id)
    for first in range(0, len(numbered), _CHUNK):
        Retraining.objects.bulk_create(
            (
                Retraining(
                    sweep=sweep,
                    end_user_id=one.end_user_id,
                    task=policy.task,
                    base_model_id=policy.base_model_id,
                    rank=policy.rank,
                    position=position,
                    due_for=one.reasons,
                    **_beyond(f"The sweep's budget is {budget} users.")
                    if budget is not None and position >= budget
                    else {},
                )
                for position, one in numbered[first : first + _CHUNK]
            ),
            ignore_conflicts=True,
        )


def _beyond(reason: str) -> dict[str, Any]:
    return {"state": Retraining.State.BEYOND_BUDGET, "reason": reason, "finished_at": Now()}


@transaction.atomic
def _begin_next(sweep_id: int) -> bool:
    """Let the next one begin where there is room; whether it is worth another look."""
    held = RetrainingSweep.objects.select_for_update(no_key=True).filter(pk=sweep_id)
    sweep = held.filter(state=RetrainingSweep.State.RUNNING).first()
    if sweep is None:
        return False
    _keep_to_minutes(sweep)
    waiting = sweep.retrainings.filter(state=Retraining.State.WAITING).order_by("position")
    under_way = sweep.retrainings.filter(state__in=UNDER_WAY).count()
    following = waiting.values_list("pk", flat=True).first()
    if following is None and under_way == 0:
        _end(sweep, RetrainingSweep.State.DONE)
    if following is None or under_way >= _WINDOW_OF_SLOTS * settings.TRAINING_SLOTS:
        return False
    _begin_one(following)
    return True


def _keep_to_minutes(sweep: RetrainingSweep) -> None:
    minutes = sweep.rules.get("budget_minutes")
    if minutes is None or _seconds_of(sweep) < minutes * 60:
        return
    waiting = sweep.retrainings.filter(state=Retraining.State.WAITING)
    left = waiting.update(**_beyond(f"The sweep's budget of {minutes:g} minutes of training is used up."))
    if left:
        sweep.beyond_budget += left
        sweep.save(update_fields=["beyond_budget"])


def _begin_one(retraining_id: int) -> None:
    if _begin is None:
        raise RuntimeError("nobody has said how a retraining begins")
    reason = "It could not be begun."
    try:
        with transaction.atomic():
            _begin(retraining_id=retraining_id)
    except DatabaseError:
        # A lost connection or a deadlock is no fault of this one: it begins at the next look.
        raise
    except Exception as error:  # noqa: BLE001 - one that cannot begin must not hold up the others
        described = errors.describe(error)
        logger.error("retraining %d could not be begun: %s", retraining_id, described.for_log())
        reason = f"It could not be begun: {described.type}. {described.message}"
    # Nothing where it has begun.
    Retraining.objects.filter(pk=retraining_id, state=Retraining.State.WAITING).update(
        state=Retraining.State.FAILED, reason=reason[:REASON_LENGTH], finished_at=Now()
    )


def _end(sweep: RetrainingSweep, state: RetrainingSweep.State) -> None:
    sweep.state = state
    sweep.finished_at = Now()
    sweep.training_seconds = _seconds_of(sweep)
    sweep.save(update_fields=["state", "finished_at", "training_seconds"])


def _seconds_of(sweep: RetrainingSweep) -> float:
    return sweep.retrainings.aggregate(sum=Sum("training_seconds"))["sum"] or 0.0


def _advance_and_log(sweep_id: int) -> None:
    """`advance` where nobody waits for an answer: what goes wrong is logged, and the next look tries again."""
    try:
        advance(sweep_id=sweep_id)
    except Exception as error:  # noqa: BLE001 - the work that led here is recorded
        logger.error("sweep %d was not moved on: %s", sweep_id, errors.describe(error).for_log())
