"""That something has happened: a delivery for each endpoint that wants to hear of it, and a job for each delivery.

Both are made in the transaction of what has happened, so they stand exactly if it does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, transaction

from jobs.services import JobSpec, enqueue_many
from users_app.kinds import DELIVER_WEBHOOK


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What an event is about: a row of a workspace, by number, and how it ended."""

    workspace_id: int
    id: int
    outcome: str


# Where nobody listens, which is nearly everywhere, this is one look into the index of endpoints by workspace. The lock
# lets an endpoint be changed, but not deleted, until the event's transaction ends: its end would else fail.
_INSERT: Final = """
    INSERT INTO users_app_webhookdelivery (endpoint_id, event_type, subject_id, outcome, state, attempts, error,
                                           next_attempt_at)
    SELECT e.id, %(event_type)s, happened.subject_id, happened.outcome, 'pending', 0, '', clock_timestamp()
      FROM unnest(%(workspaces)s::bigint[], %(subjects)s::bigint[], %(outcomes)s::text[])
           AS happened (workspace_id, subject_id, outcome)
      JOIN users_app_webhookendpoint AS e ON e.workspace_id = happened.workspace_id
     WHERE e.disabled_at IS NULL AND %(event_type)s = ANY(e.event_types)
     ORDER BY e.id, happened.subject_id
       FOR KEY SHARE OF e
    ON CONFLICT DO NOTHING
    RETURNING id
"""


def record_events(event_type: str, subjects: Iterable[Subject]) -> list[int]:
    """Make deliveries of an event of this type for each subject; their ids. Runs in the transaction of the event.

    What was recorded before, of the same subject with the same outcome, is not recorded again.
    """
    happened = list(subjects)
    if not happened:
        return []
    values: dict[str, Any] = {
        "event_type": event_type,
        "workspaces": [subject.workspace_id for subject in happened],
        "subjects": [subject.id for subject in happened],
        "outcomes": [subject.outcome for subject in happened],
    }
    with transaction.atomic(savepoint=False):
        with connection.cursor() as cursor:
            cursor.execute(_INSERT, values)
            made = [row[0] for row in cursor.fetchall()]
        if made:
            enqueue_many(delivery_job(delivery_id, attempts=0) for delivery_id in made)
    return made


def delivery_job(delivery_id: int, *, attempts: int, delay_seconds: float = 0.0) -> JobSpec:
    """The job for the next attempt of a delivery after so many. There is one of them at most.

    It belongs to no workspace's list of jobs: the delivery says how it stands.
    """
    return JobSpec(
        kind=DELIVER_WEBHOOK.name,
        payload={"delivery_id": delivery_id},
        dedupe_key=delivery_job_key(delivery_id, attempts),
        delay_seconds=delay_seconds,
    )


def delivery_job_key(delivery_id: int, attempts: int) -> str:
    """The dedupe key of that job."""
    return f"webhook:{delivery_id}:{attempts}"
