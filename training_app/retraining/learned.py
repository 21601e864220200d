"""How much of each profile was learned from last, noted when an adapter is recorded or a retraining has ended."""

from collections.abc import Sequence
from typing import Final

from django.db import connection

from users_app.models import EndUser

# Of the profile as it was when these documents were read: what is live now and not among them came later, and what is
# among them and not live any more went later. Repetitions count.
_NOTE: Final = """
    INSERT INTO training_app_learnedprofile AS learned (
        end_user_id, workspace_id, task, task_version, base_model_id, rank, added, removed, documents, at, lost)
    SELECT tally.end_user_id, tally.workspace_id, tally.task, %(task_version)s, %(base_model)s, %(rank)s,
           tally.added - (SELECT count(*) FROM (
               SELECT document_id FROM users_app_profileentry
                WHERE end_user_id = %(end_user)s AND task = %(task)s AND removed_at IS NULL
               EXCEPT ALL SELECT unnest(%(documents)s::bigint[])) AS fresh),
           tally.removed - (SELECT count(*) FROM (
               SELECT unnest(%(documents)s::bigint[]) EXCEPT ALL
               SELECT document_id FROM users_app_profileentry
                WHERE end_user_id = %(end_user)s AND task = %(task)s AND removed_at IS NULL) AS gone),
           cardinality(%(documents)s::bigint[]), statement_timestamp(), false
      FROM users_app_profiletally tally
     WHERE tally.end_user_id = %(end_user)s AND tally.task = %(task)s
    ON CONFLICT (end_user_id, task, base_model_id, rank) DO UPDATE
       SET task_version = excluded.task_version, added = excluded.added, removed = excluded.removed,
           documents = excluded.documents, at = excluded.at, lost = false
"""


def note_learned(
    *, end_user: EndUser, task: str, task_version: str, base_model_id: int, rank: int, document_ids: Sequence[int]
) -> None:
    """Note that these documents, in training order, were learned from last, or weighed and not learned from.

    Whoever has never had a live profile for the task gets no note: nobody is due without one. Call it while the end
    user is held, so that the profile and what is noted of it are of one moment.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _NOTE,
            {
                "end_user": end_user.pk,
                "task": task,
                "task_version": task_version,
                "base_model": base_model_id,
                "rank": rank,
                "documents": list(document_ids),
            },
        )
