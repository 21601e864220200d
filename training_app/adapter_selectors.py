"""Reads of adapters, and of what they may learn from: always in one workspace."""

from django.db.models import F, Func, IntegerField, QuerySet

from jobs.models import Job
from training_app.base_models import models_named
from training_app.kinds import TRAIN_ADAPTER
from training_app.models import Adapter
from users_app.job_selectors import jobs_of_workspace
from users_app.models import EndUser, Workspace
from users_app.selectors import profile_entries


def profile_to_learn_from(*, workspace: Workspace, end_user: EndUser, task: str) -> list[tuple[int, str]]:
    """(document id, digest as hex) of the live profile, in its order, repetitions included."""
    entries = profile_entries(workspace=workspace, end_user=end_user).filter(task=task).order_by("position")
    digests = entries.values_list("document_id", "document__digest")
    return [(document_id, bytes(digest).hex()) for document_id, digest in digests]


def standing_adapter(*, workspace: Workspace, identity: str) -> Adapter | None:
    """The adapter of that identity that can be used; None where there is none."""
    return adapters_of(workspace=workspace).filter(identity=identity, withdrawn_at__isnull=True).first()


def adapters_of(
    *,
    workspace: Workspace,
    external_id: str | None = None,
    task: str | None = None,
    base_model: str | None = None,
    withdrawn: bool | None = None,
) -> QuerySet[Adapter]:
    """The adapters of one workspace that may answer, filtered by what is not None: trials are none.

    Each comes with its end user, base model and `document_count`; its long columns are read when they are asked for.
    """
    found = (
        Adapter.objects.filter(end_user__workspace=workspace, is_trial=False)
        .select_related("end_user", "base_model")
        .annotate(document_count=Func(F("document_ids"), function="cardinality", output_field=IntegerField()))
        .defer("document_ids", "document_digests", "loss_curve", "versions", "hardware")
    )
    if external_id is not None:
        found = found.filter(end_user__external_id=external_id)
    if task is not None:
        found = found.filter(task=task)
    if base_model is not None:
        found = found.filter(base_model__in=models_named(base_model).order_by())
    if withdrawn is not None:
        found = found.filter(withdrawn_at__isnull=not withdrawn)
    return found


def adapter_by_id(*, workspace: Workspace, adapter_id: int) -> Adapter | None:
    """An adapter of `workspace`; None where there is none of that number."""
    return adapters_of(workspace=workspace).filter(pk=adapter_id).first()


def training_job(*, workspace: Workspace, job_id: int) -> Job | None:
    """A job of `workspace` that makes an adapter; None where there is none of that number."""
    return jobs_of_workspace(workspace=workspace).filter(pk=job_id, kind=TRAIN_ADAPTER.name).first()
