"""Ending the use of a trained model: by hand, where its files are damaged or data may not be learned from any more."""

from django.db import transaction
from django.db.models.functions import Now

from retrieval_app.models import TrainedModel
from users_app.audit import INSTALLATION, Actor, record
from users_app.models import AuditEntry, Workspace


class WithdrawalRefused(ValueError):
    """The model is not the workspace's to withdraw; the message says whose it is."""

    safe_message = True


@transaction.atomic
def withdraw_trained_model(*, workspace: Workspace, trained_model: TrainedModel, by: Actor = INSTALLATION) -> bool:
    """Let nobody use the workspace's `trained_model` from now on; False where that is so already.

    What is under way with it ends refused. Its files, and the vectors of a fine-tuned encoder, are deleted by sweeps.

    Raises `WithdrawalRefused` for one that came with Lamppost, and `TrainedModel.DoesNotExist`, also for one of another
    workspace.
    """
    if trained_model.workspace_id is None:
        raise WithdrawalRefused(
            "This model came with Lamppost and serves every workspace. One that is trained here is used in its place."
        )
    held = TrainedModel.objects.select_for_update(no_key=True).get(pk=trained_model.pk, workspace=workspace)
    if held.withdrawn_at is not None:
        trained_model.withdrawn_at = held.withdrawn_at
        return False
    TrainedModel.objects.filter(pk=held.pk).update(withdrawn_at=Now())
    trained_model.refresh_from_db(fields=["withdrawn_at"])
    record(
        workspace=workspace,
        action=AuditEntry.Action.TRAINED_MODEL_WITHDRAWN,
        by=by,
        subject=str(held.pk),
        details={"kind": held.kind, "tasks": held.tasks},
    )
    return True
