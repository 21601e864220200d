"""Who is due for retraining: from the counters that triggers keep, against counting the entries of all profiles."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from benchmarks.databases import Databases
from benchmarks.figures import Figure, side_by_side
from benchmarks.population import DOCUMENTS, TASK

ROUNDS = 5
NEW_DOCUMENTS = 3
OLDEST_DAYS = 55
DAYS = 60
# One person in ten has never been trained, one has new documents, one in twenty has lost one; the rest is as it was.
_LEARNED = """
    INSERT INTO training_app_learnedprofile
           (end_user_id, workspace_id, task, task_version, base_model_id, rank, added, removed, documents, at)
    SELECT id, 1, %(task)s, %(version)s, 1, 8, learned, 0, learned,
           statement_timestamp() - make_interval(days => id::int %% %(days)s)
      FROM (SELECT id, CASE WHEN id %% 10 = 1 THEN %(documents)s - 5 ELSE %(documents)s END AS learned
              FROM users_app_enduser WHERE id %% 10 <> 0) AS u
"""
_TALLIES = "users_app_profiletally tally"
_COUNTED = """(SELECT e.end_user_id, u.workspace_id, e.task, count(*) AS added, count(e.removed_at) AS removed
                 FROM users_app_profileentry e JOIN users_app_enduser u ON u.id = e.end_user_id
                GROUP BY e.end_user_id, u.workspace_id, e.task) AS tally"""


def who_is_due_figure(*, database: str, users: int) -> Figure:
    """The figure of a database that `benchmarks.population` has filled, whose users then have learned profiles."""
    databases = Databases(database)
    databases.use(database)
    _let_adapters_have_learned()
    policy = _policy()
    from_counters, by_counting = _ways(policy)
    due = from_counters()
    assert due == by_counting(), "counting finds others"
    timing = side_by_side(by_counting, from_counters, rounds=ROUNDS)
    databases.close()
    return Figure(
        name=f"who_is_due_of_{users}",
        ratio=timing.ratio,
        median=timing.ours,
        unit="s",
        detail=f"{len(due):,} are due; counting {users * DOCUMENTS:,} entries: {timing.baseline:.2f} s",
    )


def _let_adapters_have_learned() -> None:
    from django.db import connection

    from lamp.catalogue import get_task

    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO training_app_basemodel (id, name, revision) VALUES (1, 'bench/model', '1')")
        cursor.execute(
            _LEARNED, {"task": TASK, "version": get_task(TASK).version, "days": DAYS, "documents": DOCUMENTS}
        )
        # The triggers count these.
        cursor.execute(
            "UPDATE users_app_profileentry SET removed_at = statement_timestamp()"
            " WHERE end_user_id % 20 = 2 AND position = 3"
        )
        cursor.execute("VACUUM (ANALYZE)")


def _policy() -> Any:
    from training_app.retraining.models import RetrainingPolicy
    from users_app.models import Workspace

    return RetrainingPolicy(
        workspace=Workspace(pk=1, slug="bench"),
        task=TASK,
        base_model_id=1,
        rank=8,
        new_documents=NEW_DOCUMENTS,
        max_age_days=OLDEST_DAYS,
    )


def _ways(policy: Any) -> tuple[Callable[[], list[Any]], Callable[[], list[Any]]]:
    """From counters, and by the same statement over counts that it makes itself. Ages are those of one moment."""
    from django.utils import timezone

    from training_app.retraining import due

    now = timezone.now()
    assert due._DUE.count(_TALLIES) == 1
    counting = due._DUE.replace(_TALLIES, _COUNTED)

    def from_counters() -> list[Any]:
        return due.who_is_due(policy=policy, at=now)

    def by_counting() -> list[Any]:
        with patch.object(due, "_DUE", counting):
            return due.who_is_due(policy=policy, at=now)

    return from_counters, by_counting
