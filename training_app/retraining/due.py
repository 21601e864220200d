"""Who is due for retraining under a policy, and why: read from the counts kept at every write, never from profiles."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction

from training_app.kinds import TRAIN_ADAPTER
from training_app.retraining.models import UNFINISHED, RetrainingPolicy
from users_app.tasks import task_of

_SECONDS_A_DAY: Final = 86_400.0
_ORDERS: Final = {
    RetrainingPolicy.Order.MOST_CHANGED: "new + removed DESC, weighed.end_user_id",
    # Who has none yet has waited longest.
    RetrainingPolicy.Order.OLDEST: "learned_at NULLS FIRST, weighed.end_user_id",
}
# Thresholds that a policy does not have are null, and no number reaches null. Of somebody whose profile is empty a
# retraining is due while something of it is still learned.
_DUE: Final = """
    WITH under_way AS (
        SELECT end_user_id FROM training_app_retraining
         WHERE state = ANY(%(unfinished)s) AND task = %(task)s AND base_model_id = %(base_model)s AND rank = %(rank)s
        UNION
        SELECT end_user_id
          -- One after the other, so that each is found by an index of what has not finished.
          FROM (SELECT * FROM jobs_job WHERE kind = %(kind)s AND state = 'waiting'
                UNION ALL
                SELECT * FROM jobs_job WHERE kind = %(kind)s AND state = 'running') AS training
         WHERE workspace_id = %(workspace)s AND end_user_id IS NOT NULL
           AND payload->>'task' = %(task)s AND payload->'base_model_id' = to_jsonb(%(base_model)s::bigint)
           AND payload->'hyperparameters'->'rank' = to_jsonb(%(rank)s::bigint)),
    counted AS (
        SELECT tally.end_user_id, tally.added - tally.removed AS live,
               learned.id IS NULL AS first,
               tally.added - coalesce(learned.added, tally.removed) AS new,
               tally.removed - coalesce(learned.removed, tally.removed) AS removed,
               learned.documents, learned.at AS learned_at, learned.lost,
               learned.task_version <> %(task_version)s AS task_changed,
               date_part('epoch', coalesce(%(at)s::timestamptz, statement_timestamp()) - learned.at)
                   / %(seconds_a_day)s::float8 AS age
          FROM users_app_profiletally tally
          LEFT JOIN training_app_learnedprofile learned
            ON learned.end_user_id = tally.end_user_id AND learned.workspace_id = %(workspace)s
           AND learned.task = %(task)s AND learned.base_model_id = %(base_model)s AND learned.rank = %(rank)s
         WHERE tally.workspace_id = %(workspace)s AND tally.task = %(task)s),
    weighed AS (
        SELECT end_user_id, first, new, removed, age, learned_at,
               NOT first AND removed > 0 AND (live > 0 OR documents > 0) AS shrunk,
               first AND live >= %(minimum)s AS starts,
               NOT first AND live >= %(minimum)s
                   AND coalesce(new >= %(new_documents)s::bigint
                                OR (new > 0 AND new >= %(new_share)s::float8 * documents), false) AS grown,
               NOT first AND live >= %(minimum)s AND coalesce(age >= %(max_age)s::float8, false) AS aged,
               NOT first AND live >= %(minimum)s AND task_changed AS task_changed,
               NOT first AND live >= %(minimum)s AND lost AS lost
          FROM counted)
    SELECT weighed.end_user_id, u.external_id, new, removed, age, starts, grown, shrunk, aged, task_changed, lost
      FROM weighed
      JOIN users_app_enduser u ON u.id = weighed.end_user_id AND u.workspace_id = %(workspace)s
     WHERE (starts OR grown OR shrunk OR aged OR task_changed OR lost)
       AND weighed.end_user_id NOT IN (SELECT end_user_id FROM under_way)
     ORDER BY {order}
"""


@dataclass(frozen=True, slots=True)
class Due:
    """Somebody who is due: `reasons` as `Retraining.due_for` keeps them.

    `new` and `removed` count documents since the last training; of somebody never trained, all are new. `age` is that
    of the last training in days, None where there was none.
    """

    end_user_id: int
    external_id: str
    reasons: dict[str, Any]
    new: int
    removed: int
    age: float | None


def who_is_due(*, policy: RetrainingPolicy, at: datetime | None = None) -> list[Due]:
    """Everybody of the policy's workspace who is due, in the policy's order, whatever its budget.

    Ages are those of the moment `at`, now by the database's clock unless given. Whoever is being trained or retrained
    for this task, base model and rank is not due.

    Raises `lamp.catalogue.UnknownTask` where the task is no more.
    """
    task = task_of(workspace=policy.workspace, key=policy.task)
    with transaction.atomic(), connection.cursor() as cursor:
        # Where the planner does not know yet how many there are, as after an import, it would look for each of a
        # hundred thousand people among a hundred thousand.
        cursor.execute("SET LOCAL enable_nestloop = off")
        cursor.execute(
            _DUE.format(order=_ORDERS[RetrainingPolicy.Order(policy.order)]),
            {
                "workspace": policy.workspace_id,
                "task": task.key,
                "task_version": task.version,
                "base_model": policy.base_model_id,
                "rank": policy.rank,
                "minimum": policy.minimum_documents,
                "new_documents": policy.new_documents,
                "new_share": policy.new_share,
                "max_age": policy.max_age_days,
                "at": at,
                "seconds_a_day": _SECONDS_A_DAY,
                "kind": TRAIN_ADAPTER.name,
                "unfinished": [state.value for state in UNFINISHED],
            },
        )
        rows = cursor.fetchall()
        cursor.execute("SET LOCAL enable_nestloop TO DEFAULT")
    return [_due(*row) for row in rows]


def _due(
    end_user_id: int,
    external_id: str,
    new: int,
    removed: int,
    age: float | None,
    starts: bool,
    grown: bool,
    shrunk: bool,
    aged: bool,
    task_changed: bool,
    lost: bool,
) -> Due:
    reasons: dict[str, Any] = {}
    if starts:
        reasons["first"] = True
    if grown:
        reasons["new"] = new
    if shrunk:
        reasons["removed"] = removed
    if aged and age is not None:
        reasons["age_days"] = round(age, 2)
    if task_changed:
        reasons["task_changed"] = True
    if lost:
        reasons["lost"] = True
    return Due(end_user_id, external_id, reasons, new=new, removed=removed, age=age)
