"""A person's choice of what serves an end user: an adapter that stands, or none. To roll back is to choose what served
before.
"""

from collections.abc import Iterator
from typing import NamedTuple

from django.db import transaction

from lamp.catalogue import UnknownTask
from training_app.models import Adapter, BaseModel, Retraining, ServingChoice
from training_app.retraining.models import UNFINISHED
from training_app.retraining.steps import cancel_retraining
from training_app.serving_selectors import choices_of, serving_adapter
from users_app.audit import Actor, record
from users_app.models import AuditEntry, EndUser, Workspace
from users_app.selectors import lock_end_users
from users_app.tasks import task_of

CHOSEN_MEANWHILE = "Somebody chose what serves this user while it ran."


class ChoiceRefused(ValueError):
    """The adapter cannot serve this end user; the message says why, and what can be done."""


@transaction.atomic
def choose_adapter(
    *,
    workspace: Workspace,
    end_user: EndUser,
    task: str,
    base_model: BaseModel,
    adapter: Adapter | None,
    reason: str,
    by: Actor,
    api_key_id: int | None = None,
) -> ServingChoice:
    """Let `adapter`, or none, serve the end user for the task and the base model from now on.

    Retrainings under way for them end: what they compare is no longer what serves. What was measured of the adapter
    before stays known of it.

    Raises `ChoiceRefused`, and `EndUser.DoesNotExist` for a user who was erased meanwhile.
    """
    lock_end_users(workspace=workspace, end_user_ids=[end_user.pk])
    known = None
    if adapter is not None:
        _require_usable(workspace, end_user, task, base_model, adapter)
        measured = choices_of(workspace=workspace, end_user=end_user, task=task, base_model=base_model).filter(
            adapter=adapter, better_than_none__isnull=False
        )
        known = measured.values_list("better_than_none", flat=True).first()
    unfinished = Retraining.objects.filter(
        end_user=end_user, task=task, base_model=base_model, state__in=UNFINISHED
    ).order_by("pk")
    for retraining_id in unfinished.values_list("pk", flat=True):
        cancel_retraining(retraining_id=retraining_id, reason=CHOSEN_MEANWHILE)
    choice = ServingChoice.objects.create(
        end_user=end_user,
        task=task,
        base_model=base_model,
        adapter=adapter,
        serves_none=adapter is None,
        by=ServingChoice.By.PERSON,
        chosen_by_id=by.staff_id,
        api_key_id=api_key_id,
        better_than_none=known,
        reason=reason,
    )
    record(
        workspace=workspace,
        action=AuditEntry.Action.SERVING_CHOSEN,
        by=by,
        end_user=end_user,
        subject=str(choice.pk),
        details={"task": task, "base_model": base_model.pk, "adapter": None if adapter is None else adapter.pk},
    )
    return choice


class Before(NamedTuple):
    """What served before the choice that counts; `adapter` is None where none did."""

    adapter: Adapter | None


@transaction.atomic
def served_before(*, workspace: Workspace, end_user: EndUser, task: str, base_model: BaseModel) -> Before | None:
    """What a roll-back lets serve: the last that served, or was chosen, and is not what serves now. None where there is
    none, or all that did cannot serve any more.
    """
    try:
        version = task_of(workspace=workspace, key=task).version
    except UnknownTask:
        return None
    serving = serving_adapter(
        workspace=workspace, end_user=end_user, task=task, task_version=version, base_model=base_model
    )
    for adapter in _that_served(workspace, end_user, task, base_model):
        if adapter != serving and (adapter is None or _is_usable(workspace, end_user, task, base_model, adapter)):
            return Before(adapter)
    return None


def _that_served(workspace: Workspace, end_user: EndUser, task: str, base_model: BaseModel) -> Iterator[Adapter | None]:
    """The last first, repetitions included. What a retraining replaced may never have been chosen."""
    choices = choices_of(workspace=workspace, end_user=end_user, task=task, base_model=base_model)
    for choice in choices.select_related("retraining__old_adapter"):
        if choice.serves_none or choice.adapter is not None:
            yield choice.adapter
        if choice.retraining is not None and choice.retraining.old_adapter is not None:
            yield choice.retraining.old_adapter


def _is_usable(workspace: Workspace, end_user: EndUser, task: str, base_model: BaseModel, adapter: Adapter) -> bool:
    try:
        _require_usable(workspace, end_user, task, base_model, adapter)
    except ChoiceRefused:
        return False
    return True


def _require_usable(
    workspace: Workspace, end_user: EndUser, task: str, base_model: BaseModel, adapter: Adapter
) -> None:
    found = Adapter.objects.filter(
        pk=adapter.pk,
        end_user=end_user,
        end_user__workspace=workspace,
        task=task,
        base_model=base_model,
        is_trial=False,
    ).first()
    if found is None:
        raise ChoiceRefused("This user has no such adapter for this task and base model. Use one that is listed.")
    if found.withdrawn_at is not None:
        raise ChoiceRefused("This adapter was withdrawn. Have one trained, and choose that.")
    try:
        version = task_of(workspace=workspace, key=task).version
    except UnknownTask:
        version = ""
    if found.task_version != version:
        raise ChoiceRefused("This adapter is of another version of the task than is in force. Have one trained.")
