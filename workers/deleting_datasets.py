"""The job that deletes a dataset with all that hangs on it."""

from collections.abc import Sequence

from eval_app.dataset_deletion import delete_contents, delete_kept, delete_row
from eval_app.models import Dataset
from jobs.batches import ClaimedJob
from workers.workspaces import workspace_of


def handle(jobs: Sequence[ClaimedJob]) -> None:
    """Delete what each job names. What is gone already is deleted."""
    for job in jobs:
        with job.isolated():
            _delete(job)


def _delete(job: ClaimedJob) -> None:
    workspace = workspace_of(job)
    asked = Dataset.objects.filter(workspace=workspace, deletion_requested_at__isnull=False)
    dataset = asked.filter(pk=job.payload["dataset_id"]).first()
    prefixes: list[str] = []
    if dataset is not None:
        delete_contents(workspace=workspace, dataset=dataset, report=job.report)
    with job.finishing():
        if dataset is not None:
            prefixes = delete_row(workspace=workspace, dataset=dataset)
    delete_kept(prefixes)
