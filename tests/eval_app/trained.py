"""Trainings and trained models as the database holds them; nobody trains them."""

import uuid
from typing import Any

from django.db.models.functions import Now

from eval_app.models import Dataset, ModelTraining
from jobs.models import Job
from jobs.services import JobSpec, enqueue
from retrieval_app.models import Participant, TrainedModel
from tests.eval_app.stored import PARAMETERS, a_base_model
from users_app.models import EndUser, Workspace

POOL = [{"retriever": "none"}, {"retriever": "bm25"}]
HYPERPARAMETERS: dict[str, Any] = {"epochs": 2, "learning_rate": 1e-5}
BASE_MODEL = "some/t5@1"
METRICS: dict[str, Any] = {}


def a_trained_model(workspace: Workspace | None, *participants: EndUser, **fields: Any) -> TrainedModel:
    """A selector that stands ready, for tweets unless told."""
    told = {
        "kind": "rspg-pre",
        "tasks": ["LaMP-7"],
        "base_model": BASE_MODEL,
        "documents_wanted": 4,
        "pool": POOL,
        "initial_model": "/srv/models/small@abc",
        "hyperparameters": HYPERPARAMETERS,
        "seed": 0,
        "feedback_digest": "f" * 64,
        "identity": f"{TrainedModel.objects.count():064}",
        "object_prefix": "" if workspace is None else "trained/1/",
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
    made = TrainedModel.objects.create(workspace=workspace, **told)
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
