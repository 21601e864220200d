"""The rows that tell of imports: how they began, and how they ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from eval_app.models import DatasetImport
from jobs.models import UNFINISHED, Job, State
from lamp.reading import Separation
from lamp.tasks import Task
from users_app.audit import Actor
from users_app.models import Workspace


def begin(
    *,
    workspace: Workspace,
    import_id: str,
    dataset: str,
    split: str,
    task: Task | None,
    separation: Separation | None,
    keep_source: bool,
    files: Mapping[str, Any],
    by: Actor,
) -> DatasetImport:
    """The row of an import that begins without a draft. Call it in the transaction that enqueues its job."""
    return DatasetImport.objects.create(
        workspace=workspace,
        import_id=import_id,
        dataset=dataset,
        split=split,
        task=task.key if task else "",
        separation=separation or "",
        keep_source=keep_source,
        files=dict(files),
        state=DatasetImport.State.IMPORTING,
        begun_by=by.name[:150],
    )


def record_end(*, import_id: str, jobs: QuerySet[Job]) -> None:
    """Keep how the import's jobs ended, which are all of it. Safe to repeat; does nothing while one is unfinished."""
    under_way = DatasetImport.objects.filter(import_id=import_id, state=DatasetImport.State.IMPORTING)
    ended = list(jobs.order_by("pk"))
    if any(job.state in UNFINISHED for job in ended):
        return
    if not ended:
        error = (
            "How it ended is not known any more. Look at the dataset, and import the files again if they are not there."
        )
        under_way.update(state=DatasetImport.State.FAILED, error=error, finished_at=timezone.now())
        return
    states = {job.state for job in ended}
    succeeded = states == {State.DONE}
    if succeeded:
        state = DatasetImport.State.DONE
    elif State.FAILED in states:
        state = DatasetImport.State.FAILED
    else:
        state = DatasetImport.State.CANCELLED
    changes: dict[str, Any] = {
        "state": state,
        "report": [_told(job) for job in ended],
        "error": next((job.error_message for job in ended if job.state == State.FAILED), ""),
        "finished_at": max(job.finished_at or timezone.now() for job in ended),
    }
    if succeeded:
        # Whoever is erased from now on is found by the split.
        changes["samples"] = None
    under_way.update(**changes)


def _told(job: Job) -> dict[str, Any]:
    return {
        "split": job.payload.get("split", ""),
        "state": job.state,
        "result": job.result,
        "error": job.error_message if job.state == State.FAILED else "",
    }
