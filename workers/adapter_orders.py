"""From a claimed job to what the engine is asked to train."""

from dataclasses import dataclass

from jobs.batches import ClaimedJob, Permanent
from lamp.catalogue import UnknownTask
from lamp.pairs import pair_of
from training_app.adapters import AdapterPlan, adapters_by_identity, plan_adapter
from training_app.models import BaseModel
from users_app.models import EndUser
from users_app.selectors import UnknownDocuments, end_user_by_id, snapshot_documents, workspace_by_id
from users_app.tasks import task_version_of
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.training import TrainingRequest

_ANOTHER_VERSION = "This worker's task catalogue or engine is not the one the adapter was asked from: update it."


@dataclass(frozen=True)
class Order:
    """An adapter to be trained: whose, what it is to be named by, and of what."""

    job: ClaimedJob
    end_user: EndUser
    plan: AdapterPlan
    request: TrainingRequest


def order_of(job: ClaimedJob, *, base_model: BaseModel) -> Order | None:
    """What `job` asks for; None where its adapter stands already.

    Raises `Permanent` where the end user or a document is gone, and where this worker would make another adapter than
    the one that was asked for.
    """
    workspace = workspace_by_id(job.workspace_id)
    end_user = end_user_by_id(workspace=workspace, end_user_id=job.end_user_id) if workspace else None
    if workspace is None or end_user is None:
        raise Permanent("The end user of this adapter is gone.")
    identity = job.payload["identity"]
    if not {"exact", "stored_dtype", "task_version"} <= job.payload.keys():
        raise Permanent("This adapter was asked for by an earlier version of Lamppost: ask again.")
    if adapters_by_identity(workspace=workspace, identities=[identity]):
        return None
    try:
        task = task_version_of(workspace=workspace, key=job.payload["task"], version=job.payload["task_version"])
    except UnknownTask:
        raise Permanent(_ANOTHER_VERSION) from None
    try:
        documents = snapshot_documents(
            workspace=workspace, end_user=end_user, task=task.key, document_ids=job.payload["document_ids"]
        )
    except UnknownDocuments as gone:
        raise Permanent(str(gone)) from None
    plan = plan_adapter(
        workspace=workspace,
        end_user_id=end_user.pk,
        task=task.key,
        task_version=task.version,
        base_model=base_model,
        dtype=job.payload["dtype"],
        exact=job.payload["exact"],
        stored_dtype=job.payload["stored_dtype"],
        hyperparameters=job.payload["hyperparameters"],
        seed=job.payload["seed"],
        documents=[(document.pk, bytes(document.digest).hex()) for document in documents],
        # Jobs of earlier versions have neither.
        is_trial=job.payload.get("is_trial", False),
        only_live=job.payload.get("only_live", False),
    )
    if plan.identity != identity:
        raise Permanent(_ANOTHER_VERSION)
    request = TrainingRequest(
        pairs=[pair_of(task, document.fields) for document in documents],
        hyperparameters=Hyperparameters.from_dict(plan.hyperparameters),
        seed=plan.seed,
    )
    return Order(job, end_user, plan, request)
