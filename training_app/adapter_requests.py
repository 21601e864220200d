"""A client's request for an adapter: from the live profile to the adapter that stands, or the job that makes it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.db import transaction

from jobs.models import UNFINISHED, Job
from training_app.adapter_selectors import profile_to_learn_from, standing_adapter
from training_app.adapters import AdapterPlan, plan_adapter, request_adapter, stored_dtype_of
from training_app.base_models import default_dtype
from training_app.hyperparameters import complete_hyperparameters
from training_app.kinds import TRAIN_ADAPTER
from training_app.models import Adapter, BaseModel
from users_app.models import EndUser, Quota, Workspace
from users_app.quotas import Room
from users_app.selectors import lock_end_users


class NothingToLearnFrom(LookupError):
    """The end user's live profile for the task is empty."""


class Requested(NamedTuple):
    """What a request has come to: the adapter that stands, or else the job that makes it."""

    adapter: Adapter | None
    job: Job | None


@transaction.atomic
def plan_from_profile(
    *,
    workspace: Workspace,
    end_user: EndUser,
    task: str,
    base_model: BaseModel,
    hyperparameters: Mapping[str, Any],
    seed: int = 0,
    exact: bool = False,
) -> AdapterPlan:
    """Name the adapter that the end user's live profile makes now; hyperparameters left out are the paper's.

    Until the caller's transaction ends, the profile stays as it is and nobody erases the user.

    Raises `NothingToLearnFrom`, `InvalidHyperparameters` for what is unknown or out of bounds, and
    `EndUser.DoesNotExist` for a user who was erased meanwhile.
    """
    lock_end_users(workspace=workspace, end_user_ids=[end_user.pk])
    complete = complete_hyperparameters(hyperparameters)
    documents = profile_to_learn_from(workspace=workspace, end_user=end_user, task=task)
    if not documents:
        raise NothingToLearnFrom(f"This user has no documents for {task}.")
    return plan_adapter(
        workspace=workspace,
        end_user_id=end_user.pk,
        task=task,
        base_model=base_model,
        dtype=default_dtype(),
        exact=exact,
        stored_dtype=stored_dtype_of(exact=exact),
        hyperparameters=complete,
        seed=seed,
        documents=documents,
    )


@transaction.atomic
def find_or_request_adapter(*, workspace: Workspace, plan: AdapterPlan) -> Requested:
    """The adapter of `plan` where it stands, else the job that makes it: the one under way, or a new one.

    Raises `QuotaExceeded` where a new one would make more adapters than the workspace may have, with those that are
    in training, or where its bytes are used up. How large an adapter will be is known when it is stored.
    """
    standing = standing_adapter(workspace=workspace, identity=plan.identity)
    if standing is not None:
        return Requested(standing, None)
    require_room(workspace=workspace, plans=[plan])
    return Requested(None, request_adapter(plan=plan))


def require_room(*, workspace: Workspace, plans: Sequence[AdapterPlan], take_turns: bool = True) -> None:
    """Raise `QuotaExceeded` unless `workspace` may have these adapters beside those that it has or has in training.

    `take_turns`: nobody else asks for adapters until the transaction ends.
    """
    room = Room(workspace=workspace, quotas=[Quota.ADAPTERS, Quota.BYTES])
    if not room.is_limited:
        return
    if take_turns:
        # Nobody counts the trainings while another is added.
        room.hold()
    unfinished = Job.objects.filter(kind=TRAIN_ADAPTER.name, state__in=UNFINISHED)
    new = len(plans) - unfinished.filter(dedupe_key__in=[plan.job_key for plan in plans]).count()
    if new:
        under_way = unfinished.filter(workspace_id=workspace.pk, cancel_requested=False).count()
        room.require(
            adding={Quota.ADAPTERS: new, Quota.BYTES: 1}, promised={Quota.ADAPTERS: under_way}, take_turns=take_turns
        )
