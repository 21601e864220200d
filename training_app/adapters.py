"""Asking for adapters, and recording those that were trained."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from jobs.models import Job
from jobs.services import JobSpec, enqueue, enqueue_many
from training_app.engine_version import ENGINE_VERSION
from training_app.identity import adapter_identity
from training_app.kinds import TRAIN_ADAPTER
from training_app.models import Adapter, BaseModel
from training_app.retraining.learned import note_learned
from users_app.models import EndUser, Workspace
from users_app.selectors import documents_of, profile_document_ids
from users_app.tasks import task_of

# Slots of a pass are of one size; ranks below this cost next to nothing more in slots of this one.
_LEAST_SLOT_RANK = 8


class SourcesGone(LookupError):
    """The end user of an adapter, or some of the documents that it learned from, are gone."""

    safe_message = True


@dataclass(frozen=True)
class AdapterPlan:
    """An adapter that should exist: whose, of what, how."""

    workspace_id: int
    end_user_id: int
    task: str
    task_version: str
    base_model_id: int
    dtype: str
    exact: bool
    stored_dtype: str
    hyperparameters: Mapping[str, Any]
    seed: int
    document_ids: tuple[int, ...]
    document_digests: tuple[str, ...]
    identity: str
    is_trial: bool = False
    """Trained to be measured: it never answers for the user."""
    only_live: bool = False
    """Not recorded where a document has left the profile meanwhile, though a snapshot keep it. No part of what the
    adapter is named by.
    """

    @property
    def job_key(self) -> str:
        """The dedupe key of the job that makes it."""
        return job_key(self.identity)

    @property
    def batch_key(self) -> str:
        """What adapters must agree on to be trained in one pass; an exact one agrees with no other."""
        company = f"exact={self.identity}" if self.exact else f"rank={slot_rank(self.hyperparameters['rank'])}"
        return f"{self.base_model_id}|{self.dtype}|{company}"

    def payload(self) -> dict[str, Any]:
        """What the job's row keeps of the plan: ids and settings, no text."""
        return {
            "task": self.task,
            "task_version": self.task_version,
            "base_model_id": self.base_model_id,
            "dtype": self.dtype,
            "exact": self.exact,
            "stored_dtype": self.stored_dtype,
            "hyperparameters": dict(self.hyperparameters),
            "seed": self.seed,
            "document_ids": list(self.document_ids),
            "identity": self.identity,
            "is_trial": self.is_trial,
            "only_live": self.only_live,
            "batch": self.batch_key,
        }


@dataclass(frozen=True)
class TrainedFacts:
    """What training left behind: where the adapter's files are and how they came about."""

    object_prefix: str
    content_digest: str
    size_bytes: int
    loss_curve: Sequence[float]
    steps: int
    training_seconds: float
    versions: Mapping[str, str]
    hardware: Mapping[str, Any]


def job_key(identity: str) -> str:
    """The dedupe key of the job that makes the adapter of that identity."""
    return f"adapter:{identity}"


def slot_rank(rank: int) -> int:
    """The rank of the slots in which adapters of `rank` are trained: a power of two, so that few sizes are told apart.

    >>> [slot_rank(rank) for rank in (1, 8, 9, 16, 33)]
    [8, 8, 16, 16, 64]
    """
    return max(_LEAST_SLOT_RANK, 1 << (rank - 1).bit_length())


def stored_dtype_of(*, exact: bool) -> str:
    """What an adapter that is asked for now is stored in: float32 in exact mode, else as the installation says."""
    return "float32" if exact else settings.ADAPTER_DTYPE


def ensure_base_model(*, name: str, revision: str) -> BaseModel:
    """Return the base model `name` at `revision`, recorded if it is new."""
    base_model, _ = BaseModel.objects.get_or_create(name=name, revision=revision)
    return base_model


def plan_adapter(
    *,
    workspace: Workspace,
    end_user_id: int,
    task: str,
    base_model: BaseModel,
    dtype: str,
    exact: bool,
    stored_dtype: str,
    hyperparameters: Mapping[str, Any],
    seed: int,
    documents: Sequence[tuple[int, str]],
    task_version: str | None = None,
    is_trial: bool = False,
    only_live: bool = False,
) -> AdapterPlan:
    """Name the adapter that these inputs make; `documents` are (id, digest as hex) in training order.

    `task_version` is the version of the task whose pairs it learns from, the one in force unless given.

    `dtype` is the precision in which the frozen base model runs, `stored_dtype` that of the stored adapter: "float32"
    or "bfloat16". `exact`: trained alone in its passes, and stored in float32, so that its bytes can be made again.

    Raises ValueError: exact, and stored in anything else.
    """
    if exact and stored_dtype != "float32":
        raise ValueError("an exact adapter is stored in float32")
    digests = tuple(digest for _, digest in documents)
    if task_version is None:
        task_version = task_of(workspace=workspace, key=task).version
    return AdapterPlan(
        workspace_id=workspace.pk,
        end_user_id=end_user_id,
        task=task,
        task_version=task_version,
        base_model_id=base_model.pk,
        dtype=dtype,
        exact=exact,
        stored_dtype=stored_dtype,
        hyperparameters=dict(hyperparameters),
        seed=seed,
        document_ids=tuple(document_id for document_id, _ in documents),
        document_digests=digests,
        identity=adapter_identity(
            workspace_id=workspace.pk,
            end_user_id=end_user_id,
            base_model=f"{base_model.name}@{base_model.revision}",
            dtype=dtype,
            exact=exact,
            stored_dtype=stored_dtype,
            task=task,
            task_version=task_version,
            hyperparameters=hyperparameters,
            document_digests=digests,
            seed=seed,
            engine_version=ENGINE_VERSION,
            is_trial=is_trial,
        ),
        is_trial=is_trial,
        only_live=only_live,
    )


def adapters_by_identity(*, workspace: Workspace, identities: Iterable[str]) -> dict[str, int]:
    """Adapter id by identity, of those that stand in `workspace` and can be used."""
    standing = Adapter.objects.filter(
        end_user__workspace=workspace, identity__in=list(identities), withdrawn_at__isnull=True
    )
    return dict(standing.values_list("identity", "id"))


def withdraw_adapter(*, adapter: Adapter) -> None:
    """Never use `adapter` again: its files are lost or damaged. Whoever needs it will have it trained anew."""
    Adapter.objects.filter(pk=adapter.pk, withdrawn_at__isnull=True).update(withdrawn_at=Now())


@transaction.atomic
def request_adapters(*, plans: Iterable[AdapterPlan], origin: str = "") -> int:
    """Ask for each planned adapter that is not being made yet; returns how many jobs were added."""
    return len(enqueue_many(_job_of(plan, origin=origin) for plan in plans))


def request_adapter(*, plan: AdapterPlan, origin: str = "") -> Job:
    """Ask for the planned adapter; the job that makes it, which may have been under way already."""
    return enqueue(_job_of(plan, origin=origin))


def _job_of(plan: AdapterPlan, *, origin: str = "") -> JobSpec:
    return JobSpec(
        kind=TRAIN_ADAPTER.name,
        payload=plan.payload(),
        workspace_id=plan.workspace_id,
        end_user_id=plan.end_user_id,
        origin=origin,
        dedupe_key=plan.job_key,
    )


def sources_stand(*, end_user: EndUser, task: str, document_ids: Collection[int]) -> bool:
    """Whether the end user and all these documents of theirs are still there."""
    wanted = set(document_ids)
    documents = documents_of(workspace=end_user.workspace, end_user=end_user, task=task)
    return documents.filter(pk__in=wanted).count() == len(wanted)


def all_live(*, end_user: EndUser, task: str, document_ids: Sequence[int]) -> bool:
    """Whether all of these stand in the end user's profile of the task, each as often as here."""
    live = profile_document_ids(workspace=end_user.workspace, end_user=end_user, task=task)
    return Counter(document_ids) <= Counter(live)


@transaction.atomic
def record_adapter(*, end_user: EndUser, plan: AdapterPlan, facts: TrainedFacts) -> Adapter:
    """Record a trained adapter; an adapter of the same identity that stands already is returned as it is.

    Raises `SourcesGone` where the end user or a document of the plan has gone meanwhile, or has left the profile where
    the plan is of live documents alone. The end user is held until
    the transaction ends: whoever erases them or a document of theirs holds them too, and finds the adapter or comes
    first.
    """
    if not EndUser.objects.select_for_update(no_key=True).filter(pk=end_user.pk).exists() or not sources_stand(
        end_user=end_user, task=plan.task, document_ids=plan.document_ids
    ):
        raise SourcesGone("What this adapter has learned from is gone.")
    if plan.only_live and not all_live(end_user=end_user, task=plan.task, document_ids=plan.document_ids):
        raise SourcesGone("Some of what this adapter has learned from has left the profile.")
    adapter, _ = Adapter.objects.get_or_create(
        identity=plan.identity,
        withdrawn_at=None,
        defaults={
            "end_user": end_user,
            "task": plan.task,
            "task_version": plan.task_version,
            "base_model_id": plan.base_model_id,
            "dtype": plan.dtype,
            "exact": plan.exact,
            "stored_dtype": plan.stored_dtype,
            "rank": plan.hyperparameters["rank"],
            "is_trial": plan.is_trial,
            "hyperparameters": dict(plan.hyperparameters),
            "seed": plan.seed,
            "engine_version": ENGINE_VERSION,
            "document_ids": list(plan.document_ids),
            "document_digests": list(plan.document_digests),
            "object_prefix": facts.object_prefix,
            "content_digest": facts.content_digest,
            "size_bytes": facts.size_bytes,
            "loss_curve": list(facts.loss_curve),
            "steps": facts.steps,
            "training_seconds": facts.training_seconds,
            "versions": dict(facts.versions),
            "hardware": dict(facts.hardware),
        },
    )
    if not adapter.is_trial:
        note_learned(
            end_user=end_user,
            task=plan.task,
            task_version=plan.task_version,
            base_model_id=plan.base_model_id,
            rank=plan.hyperparameters["rank"],
            document_ids=plan.document_ids,
        )
    return adapter
