"""Trainings and trained models as the database holds them; nobody trains them."""

import uuid
from typing import Any

from django.db.models.functions import Now

from eval_app.models import Dataset, ModelTraining
from jobs.models import Job
from jobs.services import JobSpec, enqueue
from retrieval_app.models import Participant, TrainedModel
from tests.eval_app.stored import PARAMETERS, a_base_model
from tests.retrieval_app import trained
from users_app.models import EndUser, Workspace

POOL = trained.POOL
HYPERPARAMETERS: dict[str, Any] = {"epochs": 2, "learning_rate": 1e-5}
BASE_MODEL = trained.BASE_MODEL
METRICS: dict[str, Any] = {
    "dev": {
        "LaMP-7": {"questions": 40, "selector": 0.55, "oracle": 0.7, "members": {"bm25": 0.5, "none": 0.4}},
    },
    "best_step": 2,
    "validations": [[1, 0.5], [2, 0.55], [3, 0.54]],
    "questions": {"train": 80, "dev": 40},
    "left_out": {"train": {"no_consent": 7, "incomplete": 0}, "dev": {}},
}


def a_trained_model(workspace: Workspace | None, *participants: EndUser, **fields: Any) -> TrainedModel:
    """A selector that stands ready, for tweets unless told."""
    told = {
        "documents_wanted": 4,
        "initial_model": "/srv/models/small@abc",
        "hyperparameters": HYPERPARAMETERS,
        "feedback_digest": "f" * 64,
        "content_digest": "c" * 64,
        "size_bytes": 1_500_000,
        "metrics": METRICS,
        "loss_curve": [0.5, 0.25, 0.125],
        "steps": 3,
        "training_seconds": 12.5,
        "versions": {"torch": "2"},
        "hardware": {"cores": 2},
        "participant_count": len(participants),
        **fields,
    }
    made = trained.a_trained_model(workspace=workspace, **told)
    Participant.objects.bulk_create(Participant(trained_model=made, end_user=one) for one in participants)
    return made


def a_training(dataset: Dataset, **fields: Any) -> ModelTraining:
    """A selector's training; it gathers feedback unless told otherwise."""
    state = fields.get("state", "feedback")
    told = {
        "kind": "rspg-pre",
        "tasks": ["LaMP-7"],
        "base_model": a_base_model(),
        "initial_model": "small",
        "pool": POOL,
        "documents_wanted": 4,
        "parameters": PARAMETERS,
        "hyperparameters": HYPERPARAMETERS,
        "finished_at": None if state in ("feedback", "training") else Now(),
        "begun_by": "rita",
        **fields,
    }
    made = ModelTraining.objects.create(workspace=dataset.workspace, dataset=dataset, **told)
    made.refresh_from_db()
    return made


def a_job_that_trains(training: ModelTraining) -> Job:
    """Its job, which waits for a worker."""
    return enqueue(JobSpec(kind="train_selector", origin=f"model-training:{training.pk}"))


def at_work(job: Job, *, done: int, total: int, message: str) -> None:
    """As if a worker had it and were so far."""
    Job.objects.filter(pk=job.pk).update(
        state="running",
        claim=uuid.uuid4(),
        lease_until=Now(),
        started_at=Now(),
        attempts=1,
        progress_done=done,
        progress_total=total,
        progress_message=message,
    )
