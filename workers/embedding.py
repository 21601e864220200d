"""The job that embeds documents: each end user's alone, so that no vector depends on who shared a pass."""

from collections.abc import Callable, Collection, Sequence
from typing import Final

from jobs.batches import ClaimedJob
from jobs.errors import Permanent
from lamp.queries import document_text
from lamp.tasks import Task
from retrieval_app.encoders import encoder_named
from retrieval_app.models import Encoder
from retrieval_app.selectors import unembedded_documents
from retrieval_app.services import store_embeddings
from users_app.models import EndUser
from users_app.selectors import end_users
from users_app.tasks import task_of
from workers import loaded
from workers.engine.encoder import encode
from workers.engine.sources import ModelUnavailable
from workers.workspaces import workspace_of

_AT_ONCE: Final = 256


def handle(jobs: Sequence[ClaimedJob]) -> None:
    """Embed what waits of the job's end users; what was embedded before an interruption stays embedded."""
    for job in jobs:
        with job.isolated():
            _embed(job)


def _embed(job: ClaimedJob) -> None:
    workspace = workspace_of(job)
    record = _encoder_of(job)
    if record is None:
        with job.finishing(result={"documents": 0, "encoder": "unavailable"}):
            return
    task = task_of(workspace=workspace, key=job.payload["task"])
    people = list(
        end_users(workspace=workspace)
        .select_related("workspace")
        .filter(pk__in=job.payload["end_user_ids"])
        .order_by("pk")
    )
    embedded = 0
    for done, end_user in enumerate(people):
        job.check()
        job.progress(done=done, total=len(people), message=f"embedding for {task.key}")
        embedded += embed_missing(end_user=end_user, task=task, encoder=record, check=job.check)
    with job.finishing(result={"documents": embedded}):
        pass


def embed_missing(
    *,
    end_user: EndUser,
    task: Task,
    encoder: Encoder,
    among: Collection[int] | None = None,
    check: Callable[[], object] = lambda: None,
) -> int:
    """Embed what `encoder` has not read yet of an end user's documents, of these ids if given; how many there were.

    Some at a time: what was done stays done. `check` is called before each time, and may raise to end it.
    """
    missing = unembedded_documents(workspace=end_user.workspace, end_user=end_user, task=task.key, encoder=encoder)
    if among is not None:
        missing = missing.filter(pk__in=among)
    embedded = 0
    while documents := list(missing.all()[:_AT_ONCE]):
        check()
        texts = [document_text(task, document.fields) for document in documents]
        vectors = encode(loaded.encoder(encoder), texts)
        store_embeddings(end_user=end_user, encoder=encoder, documents=documents, vectors=vectors)
        embedded += len(documents)
    return embedded


def _encoder_of(job: ClaimedJob) -> Encoder | None:
    """The encoder that the job names by its record, or as the settings do.

    None where the settings' one is nowhere to be had: without it everything but dense retrieval works. Raises
    `Permanent` where the record is gone.
    """
    if "encoder" in job.payload:
        try:
            return encoder_named(job.payload["encoder"]) or loaded.record_encoder(job.payload["encoder"])
        except ModelUnavailable:
            return None
    record = Encoder.objects.filter(pk=job.payload["encoder_id"]).first()
    if record is None:
        raise Permanent("The encoder of this job is gone.")
    return record
