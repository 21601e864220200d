"""The job that starts a sweep of a retraining policy."""

from collections.abc import Sequence

from jobs.batches import ClaimedJob, Permanent
from lamp.catalogue import UnknownTask
from training_app.retraining.policy_selectors import policy_by_id
from training_app.retraining.sweeps import start_requested_sweep
from workers.workspaces import workspace_of


def handle(jobs: Sequence[ClaimedJob]) -> None:
    """Start what each job asks for; the result says which sweep it is, or none where there was nothing to start."""
    for job in jobs:
        with job.isolated():
            _start(job)


def _start(job: ClaimedJob) -> None:
    policy = policy_by_id(workspace=workspace_of(job), policy_id=job.payload["policy_id"])
    if policy is None:
        raise Permanent("The retraining policy of this job is gone.")
    try:
        with job.finishing() as result:
            sweep = start_requested_sweep(policy=policy, asked_by=job.payload["asked_by"])
            result["sweep_id"] = None if sweep is None else sweep.pk
    except UnknownTask:
        raise Permanent(f"The policy's task {policy.task} is no more.") from None
