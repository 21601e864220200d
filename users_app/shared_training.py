"""Whose data models that serve a whole workspace may learn from: the workspace's policy, and each end user's own word.

Selectors and fine-tuned encoders are trained over many end users at once, and what one of them contributed cannot be
taken out again. Adapters, which learn from one user for that user, are not concerned.
"""

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from users_app.audit import INSTALLATION, Actor, record
from users_app.listeners import agreement_taken_back
from users_app.models import AuditEntry, EndUser, SharedTraining, Workspace


def may_learn_from(*, workspace: Workspace) -> QuerySet[EndUser]:
    """The end users whose data such models may learn from now, by the policy as it stands in the database."""
    everybody = EndUser.objects.filter(workspace=workspace)
    policy = Workspace.objects.values_list("shared_training", flat=True).get(pk=workspace.pk)
    if policy == SharedTraining.EVERYONE:
        return everybody
    if policy == SharedTraining.AGREED:
        return everybody.filter(agreed_to_shared_training_at__isnull=False)
    return everybody.none()


@transaction.atomic
def set_shared_training(*, workspace: Workspace, policy: str, by: Actor = INSTALLATION) -> bool:
    """Say whose data such models of `workspace` may learn from; False where it is so already.

    Models that were trained before stay in use until they are withdrawn. Raises ValueError for a policy that is none.
    """
    wanted = SharedTraining(policy)
    held = Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    before, workspace.shared_training = held.shared_training, wanted
    if before == wanted:
        return False
    Workspace.objects.filter(pk=held.pk).update(shared_training=wanted)
    record(
        workspace=workspace,
        action=AuditEntry.Action.SHARED_TRAINING_CHANGED,
        by=by,
        subject="shared_training",
        details={"from": str(before), "to": str(wanted)},
    )
    return True


@transaction.atomic
def set_agreement(*, workspace: Workspace, end_user: EndUser, agreed: bool, by: Actor = INSTALLATION) -> bool:
    """Note that `end_user` agrees, or no longer does; False where it is so already.

    Whoever agrees again keeps the time at which they first did. Whoever takes their word back leaves a mark on what has
    learned from them, which listeners set: it stays in use until it is trained anew or withdrawn.

    Raises `EndUser.DoesNotExist`.
    """
    held = EndUser.objects.select_for_update(no_key=True).get(pk=end_user.pk, workspace=workspace)
    if (held.agreed_to_shared_training_at is not None) == agreed:
        return False
    EndUser.objects.filter(pk=held.pk).update(agreed_to_shared_training_at=Now() if agreed else None)
    end_user.refresh_from_db(fields=["agreed_to_shared_training_at"])
    record(
        workspace=workspace,
        action=AuditEntry.Action.AGREEMENT_CHANGED,
        by=by,
        end_user=held,
        subject="shared_training",
        details={"agreed": agreed},
    )
    if not agreed:
        agreement_taken_back(end_user=held)
    return True
