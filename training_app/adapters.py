"""Asking for adapters, and recording those that were trained."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from jobs.services import JobSpec, enqueue_many
from lamp.catalogue import get_task
from training_app.engine_version import ENGINE_VERSION
from training_app.identity import adapter_identity
from training_app.kinds import TRAIN_ADAPTER
from training_app.models import Adapter, BaseModel
from users_app.models import EndUser, Workspace


@dataclass(frozen=True)
class AdapterPlan:
    """An adapter that should exist: whose, of what, how."""

    workspace_id: int
    end_user_id: int
    task: str
    base_model_id: int
    dtype: str
    hyperparameters: Mapping[str, Any]
    seed: int
    document_ids: tuple[int, ...]
    document_digests: tuple[str, ...]
    identity: str

    @property
    def job_key(self) -> str:
        """The dedupe key of the job that makes it."""
        return f"adapter:{self.identity}"

    def payload(self) -> dict[str, Any]:
        """What the job's row keeps of the plan: ids and settings, no text."""
        return {
            "task": self.task,
            "base_model_id": self.base_model_id,
            "dtype": self.dtype,
            "hyperparameters": dict(self.hyperparameters),
            "seed": self.seed,
            "document_ids": list(self.document_ids),
            "identity": self.identity,
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
    hyperparameters: Mapping[str, Any],
    seed: int,
    documents: Sequence[tuple[int, str]],
) -> AdapterPlan:
    """Name the adapter that these inputs make; `documents` are (id, digest as hex) in training order.

    `dtype` is the precision in which the frozen base model runs: "float32" or "bfloat16".
    """
    digests = tuple(digest for _, digest in documents)
    return AdapterPlan(
        workspace_id=workspace.pk,
        end_user_id=end_user_id,
        task=task,
        base_model_id=base_model.pk,
        dtype=dtype,
        hyperparameters=dict(hyperparameters),
        seed=seed,
        document_ids=tuple(document_id for document_id, _ in documents),
        document_digests=digests,
        identity=adapter_identity(
            workspace_id=workspace.pk,
            end_user_id=end_user_id,
            base_model=f"{base_model.name}@{base_model.revision}",
            dtype=dtype,
            task=task,
            task_version=get_task(task).version,
            hyperparameters=hyperparameters,
            document_digests=digests,
            seed=seed,
            engine_version=ENGINE_VERSION,
        ),
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
    return len(
        enqueue_many(
            JobSpec(
                kind=TRAIN_ADAPTER.name,
                payload=plan.payload(),
                workspace_id=plan.workspace_id,
                end_user_id=plan.end_user_id,
                origin=origin,
                dedupe_key=plan.job_key,
            )
            for plan in plans
        )
    )


def record_adapter(*, end_user: EndUser, plan: AdapterPlan, facts: TrainedFacts) -> Adapter:
    """Record a trained adapter; an adapter of the same identity that stands already is returned as it is."""
    adapter, _ = Adapter.objects.get_or_create(
        identity=plan.identity,
        withdrawn_at=None,
        defaults={
            "end_user": end_user,
            "task": plan.task,
            "task_version": get_task(plan.task).version,
            "base_model_id": plan.base_model_id,
            "dtype": plan.dtype,
            "rank": plan.hyperparameters["rank"],
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
    return adapter
