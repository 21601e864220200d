"""Recording what a training has made, in the transaction that ends its job."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models.functions import Now

from eval_app.models import ModelTraining
from eval_app.webhook_events import record_training_end
from lamp.catalogue import task_versions
from retrieval_app.models import Encoder, Participant, TrainedModel
from retrieval_app.services import ensure_encoder
from users_app.models import EndUser
from users_app.shared_training import may_learn_from

_ROWS_AT_ONCE = 5_000


class TrainingGone(LookupError):
    """The training was cancelled or deleted while its job was at work: nothing is recorded."""

    safe_message = True


class ParticipantsGone(LookupError):
    """Somebody whose data the model has learned from was erased or no longer lets it: it must not be recorded."""

    safe_message = True


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What training left behind: what the model is, where its files are and how they came about.

    `initial_model` is "NAME@REVISION" as it was loaded; `identity` the digest of everything that made the model. An
    `encoder` that is not on record yet comes to be so with the model.
    """

    identity: str
    initial_model: str
    feedback_digest: str
    object_prefix: str
    content_digest: str
    size_bytes: int
    metrics: Mapping[str, Any]
    loss_curve: Sequence[float]
    steps: int
    training_seconds: float
    versions: Mapping[str, str]
    hardware: Mapping[str, Any]
    encoder: Encoder | None = None
    pool: Sequence[Mapping[str, str]] = field(default_factory=list)


def hold_participants(*, training: ModelTraining, participants: Collection[int]) -> None:
    """Hold every participant until the transaction ends: whoever erases one comes before, or finds the model.

    Raises `ParticipantsGone` where one is gone or may not be learned from any more.
    """
    wanted = sorted(set(participants))
    for first in range(0, len(wanted), _ROWS_AT_ONCE):
        some = wanted[first : first + _ROWS_AT_ONCE]
        locked = EndUser.objects.select_for_update(no_key=True).filter(pk__in=some, workspace=training.workspace_id)
        held = set(locked.order_by("pk").values_list("pk", flat=True))
        if len(held) < len(some):
            raise ParticipantsGone("Somebody who took part in this training was erased meanwhile.")
    allowed = may_learn_from(workspace=training.workspace)
    for first in range(0, len(wanted), _ROWS_AT_ONCE):
        some = wanted[first : first + _ROWS_AT_ONCE]
        if allowed.filter(pk__in=some).count() < len(some):
            raise ParticipantsGone("Somebody who took part in this training no longer agrees to it.")


def record_trained_model(*, training: ModelTraining, facts: ModelFacts, participants: Collection[int]) -> TrainedModel:
    """Record the model with the end users (ids) who took part, and end its training. Call it in a transaction.

    A model of the same identity that stands already is returned, with these participants besides its own and without
    its mark of erasures; the one that this replaces is withdrawn.

    Raises `TrainingGone`, and `ParticipantsGone` where it has learned from somebody who is gone or no longer agrees.
    """
    held = ModelTraining.objects.select_for_update(of=("self",), no_key=True).filter(pk=training.pk).first()
    if held is None or held.state != ModelTraining.State.TRAINING:
        raise TrainingGone("This training was ended while its job was at work.")
    hold_participants(training=held, participants=participants)
    people = sorted(set(participants))
    encoder = facts.encoder
    if encoder is not None and encoder.pk is None:
        encoder = ensure_encoder(name=encoder.name, revision=encoder.revision, dimension=encoder.dimension)
    trained_model, created = TrainedModel.objects.get_or_create(
        workspace=held.workspace,
        identity=facts.identity,
        withdrawn_at=None,
        defaults={
            "kind": held.kind,
            "tasks": held.tasks,
            "task_versions": task_versions(held.tasks),
            "base_model": f"{held.base_model.name}@{held.base_model.revision}",
            "documents_wanted": held.documents_wanted,
            "pool": [dict(member) for member in facts.pool],
            "encoder": encoder,
            "initial_model": facts.initial_model,
            "hyperparameters": held.hyperparameters,
            "seed": held.seed,
            "feedback_digest": facts.feedback_digest,
            "object_prefix": facts.object_prefix,
            "content_digest": facts.content_digest,
            "size_bytes": facts.size_bytes,
            "metrics": dict(facts.metrics),
            "loss_curve": list(facts.loss_curve),
            "steps": facts.steps,
            "training_seconds": facts.training_seconds,
            "versions": dict(facts.versions),
            "hardware": dict(facts.hardware),
            "participant_count": len(people),
        },
    )
    Participant.objects.bulk_create(
        [Participant(trained_model=trained_model, end_user_id=pk) for pk in people],
        batch_size=_ROWS_AT_ONCE,
        ignore_conflicts=True,
    )
    if not created:
        # The training has come to it without whoever is gone, so what it is marked for is not in it.
        trained_model.erasures = 0
        trained_model.participant_count = Participant.objects.filter(trained_model=trained_model).count()
        trained_model.save(update_fields=["erasures", "participant_count"])
    if held.replaces_id is not None and held.replaces_id != trained_model.pk:
        TrainedModel.objects.filter(pk=held.replaces_id, withdrawn_at__isnull=True).update(withdrawn_at=Now())
    held.trained_model = trained_model
    held.state = ModelTraining.State.DONE
    held.finished_at = Now()
    held.save(update_fields=["trained_model", "state", "finished_at"])
    record_training_end(held)
    return trained_model
