"""What webhooks are told of experiments, and of trainings of selectors and encoders: that one has ended and how."""

from typing import Final

from eval_app.models import Experiment, ModelTraining
from users_app.models import Workspace
from users_app.webhook_events import EventType, Told
from users_app.webhook_recording import Subject, record_events

EXPERIMENT_FINISHED: Final = "experiment.finished"
MODEL_TRAINING_FINISHED: Final = "model_training.finished"


def record_end(*, workspace_id: int, experiment_id: int, state: str) -> None:
    """Let the workspace's webhooks be told. Runs in the transaction that ends the experiment."""
    record_events(EXPERIMENT_FINISHED, [Subject(workspace_id=workspace_id, id=experiment_id, outcome=str(state))])


def record_training_end(training: ModelTraining) -> None:
    """The same of a training, as it stands now."""
    subject = Subject(workspace_id=training.workspace_id, id=training.pk, outcome=str(training.state))
    record_events(MODEL_TRAINING_FINISHED, [subject])


def _read(workspace: Workspace, experiment_id: int, outcome: str) -> Told | None:
    experiment = Experiment.objects.filter(workspace=workspace, pk=experiment_id, state=outcome).first()
    if experiment is None or experiment.finished_at is None:
        return None
    data = {
        "id": experiment.pk,
        "name": experiment.name,
        "state": experiment.state,
        "url": f"/api/v1/experiments/{experiment.pk}",
    }
    return Told(experiment.finished_at, data)


OF_EXPERIMENTS: Final = EventType(
    name=EXPERIMENT_FINISHED, description="An experiment is done, has failed or was cancelled.", read=_read
)


def _read_training(workspace: Workspace, training_id: int, outcome: str) -> Told | None:
    training = ModelTraining.objects.filter(workspace=workspace, pk=training_id, state=outcome).first()
    if training is None or training.finished_at is None:
        return None
    data = {
        "id": training.pk,
        "kind": training.kind,
        "tasks": training.tasks,
        "state": training.state,
        "url": f"/api/v1/model-trainings/{training.pk}",
    }
    return Told(training.finished_at, data)


OF_MODEL_TRAININGS: Final = EventType(
    name=MODEL_TRAINING_FINISHED,
    description="The training of a selector or an encoder is done, has failed or was cancelled.",
    read=_read_training,
)
