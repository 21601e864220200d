"""Which adapter answers for an end user: the newest choice says, and adapters recorded after it serve instead.

A choice passes over every adapter that was there when it was made, but the one it names: those never serve again by
themselves, though the chosen one be withdrawn or deleted, for they lost, or have learned from what was removed.
"""

from typing import Any, Final, NamedTuple

from django.db import transaction
from django.db.models import BooleanField, Case, F, OuterRef, Q, QuerySet, Subquery, When

from common.compiled_queries import CompiledQuery
from lamp.catalogue import UnknownTask
from training_app.models import Adapter, BaseModel, ServingChoice
from users_app.models import EndUser, Workspace
from users_app.tasks import task_of


class Serving(NamedTuple):
    """What answers for an end user, and what is known of how good it is."""

    adapter: Adapter | None
    better_than_none: bool | None = None
    """What was measured of the adapter, or where none serves, of the best there was. None: nothing."""
    none_was_chosen: bool = False
    """There is no adapter because it was chosen so."""


def serving_now(
    *, workspace: Workspace, end_user: EndUser, task: str, task_version: str, base_model: BaseModel
) -> Serving:
    """What answers for the end user, of the adapters of this base model (its revision included) that were trained for
    this version of the task and are not withdrawn.

    That is the newest of those that were recorded after the newest choice, else the one that it names; without any
    choice the newest. A trial never is. One statement where there is an adapter.

    Call it in the transaction that uses it: until its end nobody deletes the adapter.
    """
    found: Any = _SERVING.first(workspace.pk, end_user.pk, task, task_version, base_model.pk)
    if found is not None:
        return Serving(found, found.better_than_none)
    choice: ServingChoice | None = _NEWEST_CHOICE.first(workspace.pk, end_user.pk, task, base_model.pk)
    if choice is None or not choice.serves_none:
        return Serving(None)
    return Serving(None, choice.better_than_none, none_was_chosen=True)


def serving_adapter(
    *, workspace: Workspace, end_user: EndUser, task: str, task_version: str, base_model: BaseModel
) -> Adapter | None:
    """The adapter of `serving_now`, None where there is none. Call it in the transaction that uses it, too."""
    found: Adapter | None = _SERVING.first(workspace.pk, end_user.pk, task, task_version, base_model.pk)
    return found


def newest_choice(*, workspace: Workspace, end_user: EndUser, task: str, base_model: BaseModel) -> ServingChoice | None:
    """The choice that counts, None where nothing was ever chosen."""
    found: ServingChoice | None = _NEWEST_CHOICE.first(workspace.pk, end_user.pk, task, base_model.pk)
    return found


def choices_of(
    *, workspace: Workspace, end_user: EndUser, task: str | None = None, base_model: BaseModel | None = None
) -> QuerySet[ServingChoice]:
    """Every choice of the end user, the newest first, each with its adapter, base model and retraining."""
    found = ServingChoice.objects.filter(end_user=end_user, end_user__workspace=workspace)
    if task is not None:
        found = found.filter(task=task)
    if base_model is not None:
        found = found.filter(base_model=base_model)
    return found.select_related("adapter", "base_model", "retraining", "chosen_by").order_by("-pk")


class ServingOf(NamedTuple):
    """What serves for one task and base model, and the choice that counts there."""

    task: str
    base_model: BaseModel
    adapter: Adapter | None
    choice: ServingChoice | None

    @property
    def why(self) -> str:
        """In a sentence."""
        chosen = self.choice is not None and self.choice.adapter_id == (self.adapter.pk if self.adapter else None)
        if self.choice is not None and chosen and (self.adapter is not None or self.choice.serves_none):
            return self.choice.reason
        if self.adapter is not None:
            return "It is the newest." if self.choice is None else "It was trained after the last choice."
        if self.choice is None:
            return "There is no usable adapter."
        return "The adapter that was chosen is no longer usable."


@transaction.atomic
def serving_of_person(*, workspace: Workspace, end_user: EndUser) -> list[ServingOf]:
    """What serves for each task and base model that the end user has, or had, an adapter of."""
    adapters = Adapter.objects.filter(end_user=end_user, end_user__workspace=workspace, is_trial=False)
    pairs = set(adapters.order_by().values_list("task", "base_model_id").distinct())
    choices = ServingChoice.objects.filter(end_user=end_user, end_user__workspace=workspace)
    pairs |= set(choices.order_by().values_list("task", "base_model_id").distinct())
    base_models = BaseModel.objects.in_bulk({base_model_id for _, base_model_id in pairs})
    return [_serving_of(workspace, end_user, task, base_models[base_model_id]) for task, base_model_id in sorted(pairs)]


def _serving_of(workspace: Workspace, end_user: EndUser, task: str, base_model: BaseModel) -> ServingOf:
    choice = newest_choice(workspace=workspace, end_user=end_user, task=task, base_model=base_model)
    try:
        version = task_of(workspace=workspace, key=task).version
    except UnknownTask:
        return ServingOf(task, base_model, None, choice)
    adapter = serving_adapter(
        workspace=workspace, end_user=end_user, task=task, task_version=version, base_model=base_model
    )
    return ServingOf(task, base_model, adapter, choice)


def not_passed_over(adapters: QuerySet[Adapter]) -> QuerySet[Adapter]:
    """Those of `adapters` that the newest choice names or that were recorded after it, trials left out."""
    newest = ServingChoice.objects.filter(
        end_user=OuterRef("end_user"), task=OuterRef("task"), base_model=OuterRef("base_model")
    ).order_by("-pk")
    return _since_choice(adapters, newest)


def _since_choice(adapters: QuerySet[Adapter], newest: QuerySet[ServingChoice]) -> QuerySet[Adapter]:
    return adapters.alias(
        chosen_at=Subquery(newest.values("at")[:1]), chosen_id=Subquery(newest.values("adapter_id")[:1])
    ).filter(
        Q(chosen_at__isnull=True) | Q(created_at__gt=F("chosen_at")) | Q(pk=F("chosen_id")),
        is_trial=False,
    )


def _serving(workspace: Any, end_user: Any, task: Any, task_version: Any, base_model: Any) -> QuerySet[Adapter]:
    newest = ServingChoice.objects.filter(end_user=end_user, task=task, base_model=base_model).order_by("-pk")
    adapters = Adapter.objects.filter(
        end_user=end_user,
        end_user__workspace=workspace,
        task=task,
        task_version=task_version,
        base_model=base_model,
        withdrawn_at__isnull=True,
    )
    return (
        _since_choice(adapters, newest)
        .annotate(
            better_than_none=Case(
                When(pk=F("chosen_id"), then=Subquery(newest.values("better_than_none")[:1])),
                output_field=BooleanField(null=True),
            )
        )
        .select_for_update(of=("self",), no_key=True)
        # As long as the profile that it was trained on.
        .defer("document_ids", "document_digests", "loss_curve")
        .order_by("-created_at", "-pk")[:1]
    )


_SERVING: Final = CompiledQuery(
    _serving,
    EndUser._meta.get_field("workspace"),
    Adapter._meta.get_field("end_user"),
    Adapter._meta.get_field("task"),
    Adapter._meta.get_field("task_version"),
    Adapter._meta.get_field("base_model"),
)

_NEWEST_CHOICE: Final = CompiledQuery(
    lambda workspace, end_user, task, base_model: ServingChoice.objects.filter(
        end_user=end_user, end_user__workspace=workspace, task=task, base_model=base_model
    ).order_by("-pk")[:1],
    EndUser._meta.get_field("workspace"),
    ServingChoice._meta.get_field("end_user"),
    ServingChoice._meta.get_field("task"),
    ServingChoice._meta.get_field("base_model"),
)
