"""What a webhook may tell of: filled at start by this app and those above, each of which reads its own rows.

An event names a row by number and how it ended. What is sent of it is read when it is sent, so nothing of anybody is
kept here, and what was erased meanwhile is not told.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from jobs import endings
from jobs.endings import Ended
from jobs.models import FINISHED, Job
from users_app.job_selectors import jobs_of_workspace
from users_app.models import Workspace
from users_app.webhook_recording import Subject, record_events

PING: Final = "ping"
"""Sent when a client asks for it; nobody subscribes to it."""
JOB_FINISHED: Final = "job.finished"


@dataclass(frozen=True)
class Told:
    """What is said of an event: when it happened, and the `data` of the body."""

    at: datetime
    data: Mapping[str, Any]


Reader = Callable[[Workspace, int, str], Told | None]


@dataclass(frozen=True)
class EventType:
    """One type of event. `read(workspace, subject_id, outcome)` gives what is said of it.

    It gives None where the row is gone, belongs to another workspace, or does not stand as the outcome says any more.
    """

    name: str
    description: str
    read: Reader


_event_types: dict[str, EventType] = {}
_unless_asked_by: dict[str, tuple[str, ...]] = {}


def register(event_type: EventType) -> None:
    """Let endpoints subscribe to it. The same again is fine, another one of its name is a ValueError."""
    if _event_types.setdefault(event_type.name, event_type) != event_type:
        raise ValueError(f"two types of event are called {event_type.name}")


def event_types() -> list[EventType]:
    """Those that can be subscribed to, by name."""
    return [_event_types[name] for name in sorted(_event_types)]


def read_event(*, workspace: Workspace, event_type: str, subject_id: int, outcome: str) -> Told | None:
    """What is said of the event now; None where there is nothing to say any more."""
    known = _event_types.get(event_type)
    return None if known is None else known.read(workspace, subject_id, outcome)


def tell_of_jobs(kind_name: str, *, unless_asked_by: Collection[str] = ()) -> None:
    """Tell of the ends of jobs of this kind, but of those whose origin begins with one of these words."""
    _unless_asked_by[kind_name] = tuple(f"{word}:" for word in unless_asked_by)
    endings.register(kind_name, _record_jobs)


def _record_jobs(ended: list[Ended]) -> None:
    record_events(
        JOB_FINISHED,
        [
            Subject(workspace_id=job.workspace_id, id=job.id, outcome=job.state)
            for job in ended
            if job.workspace_id is not None and not job.origin.startswith(_unless_asked_by[job.kind])
        ],
    )


def _read_job(workspace: Workspace, job_id: int, outcome: str) -> Told | None:
    # One that was let run again will end again.
    job: Job | None = jobs_of_workspace(workspace=workspace).filter(pk=job_id, state=outcome).first()
    if job is None or job.state not in FINISHED or job.finished_at is None:
        return None
    data = {"id": job.pk, "kind": job.kind, "state": job.state, "url": f"/api/v1/jobs/{job.pk}"}
    return Told(job.finished_at, data)


OF_JOBS: Final = EventType(
    name=JOB_FINISHED, description="A job that a client asked for is done, has failed or was cancelled.", read=_read_job
)
