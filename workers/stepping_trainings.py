"""The job that takes a model training from stage to stage."""

from collections.abc import Sequence

from eval_app.model_trainings import step_training
from jobs.batches import ClaimedJob


def handle(jobs: Sequence[ClaimedJob]) -> None:
    """Take each job's training as far as it goes."""
    for job in jobs:
        with job.isolated(), job.finishing():
            step_training(training_id=job.payload["training_id"])
