"""The workspace of a job, which may be gone by the time the job runs."""

from jobs.batches import ClaimedJob, Permanent
from users_app.models import Workspace
from users_app.selectors import workspace_by_id


def workspace_of(job: ClaimedJob) -> Workspace:
    """Return the job's workspace; raises `Permanent` where it is gone."""
    workspace = workspace_by_id(job.workspace_id)
    if workspace is None:
        raise Permanent("The workspace of this job is gone.")
    return workspace
