"""The job that trains one end user's adapter and puts it into the object store."""

import tempfile
import time
from pathlib import Path

from common.objects import ObjectStore, get_store
from jobs.batches import ClaimedJob
from jobs.errors import Permanent
from lamp.catalogue import get_task
from lamp.pairs import pair_of
from training_app.adapters import TrainedFacts, adapters_by_identity, plan_adapter, record_adapter
from training_app.models import BaseModel
from users_app.selectors import UnknownDocuments, end_user_by_id, snapshot_documents, workspace_by_id
from workers import loaded, provenance
from workers.engine.adapter_files import folder_digest, write_peft_folder
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.training import OnStep, TrainingDiverged, train_adapter

_PROGRESS_SECONDS = 1.0


def handle(jobs: list[ClaimedJob]) -> None:
    """Train each job's adapter in a pass of its own (exact mode)."""
    for job in jobs:
        with job.isolated():
            _train(job)


def _train(job: ClaimedJob) -> None:
    workspace = workspace_by_id(job.workspace_id)
    end_user = end_user_by_id(workspace=workspace, end_user_id=job.end_user_id) if workspace else None
    if workspace is None or end_user is None:
        raise Permanent("The end user of this adapter is gone.")
    identity = job.payload["identity"]
    standing = adapters_by_identity(workspace=workspace, identities=[identity])
    if standing:
        with job.finishing(result={"trained": False}):
            return
    base_record = BaseModel.objects.get(pk=job.payload["base_model_id"])
    task = get_task(job.payload["task"])
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
        base_model=base_record,
        dtype=job.payload["dtype"],
        hyperparameters=job.payload["hyperparameters"],
        seed=job.payload["seed"],
        documents=[(document.pk, bytes(document.digest).hex()) for document in documents],
    )
    if plan.identity != identity:
        raise Permanent("This worker's task catalogue or engine is not the one the adapter was asked from: update it.")
    base = loaded.base_model(base_record, dtype=plan.dtype)
    try:
        trained = train_adapter(
            base,
            pairs=[pair_of(task, document.fields) for document in documents],
            hyperparameters=Hyperparameters.from_dict(plan.hyperparameters),
            seed=plan.seed,
            on_step=_watch(job),
        )
    except TrainingDiverged as diverged:
        # It would again: everything that decides it is named by the adapter's identity.
        raise Permanent(str(diverged)) from None
    with tempfile.TemporaryDirectory(prefix="lamppost-adapter-") as name:
        folder = Path(name)
        write_peft_folder(folder, trained, base)
        digest = folder_digest(folder)
        prefix = object_prefix(identity=identity, digest=digest)
        size = upload_folder(get_store(), folder=folder, prefix=prefix)
    facts = TrainedFacts(
        object_prefix=prefix,
        content_digest=digest,
        size_bytes=size,
        loss_curve=[round(loss, 6) for loss in trained.loss_curve],
        steps=trained.steps,
        training_seconds=trained.seconds,
        versions=provenance.versions(),
        hardware=provenance.hardware(),
    )
    with job.finishing(result={"trained": True, "seconds": round(trained.seconds, 3)}):
        record_adapter(end_user=end_user, plan=plan, facts=facts)


def _watch(job: ClaimedJob) -> OnStep:
    """Report progress and notice a cancellation, about once a second."""
    last = time.monotonic()

    def on_step(done: int, total: int, loss: float) -> None:
        nonlocal last
        if time.monotonic() - last < _PROGRESS_SECONDS:
            return
        last = time.monotonic()
        job.check()
        job.progress(done=done, total=total, message=f"training, loss {loss:.3f}")

    return on_step


def object_prefix(*, identity: str, digest: str) -> str:
    """Where an adapter's files lie: spread by hash, and by content, so that no other training can overwrite them."""
    return f"adapters/{identity[:2]}/{identity}/{digest}/"


def upload_folder(store: ObjectStore, *, folder: Path, prefix: str) -> int:
    """Put the folder's files under `prefix`; returns their bytes together."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for path in files:
        store.put_file(prefix + path.name, path)
    return sum(path.stat().st_size for path in files)
