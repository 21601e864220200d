"""The job that embeds documents: each end user's alone, so that no vector depends on who shared a pass."""

from collections.abc import Sequence

from jobs.batches import ClaimedJob
from jobs.errors import Permanent
from lamp.catalogue import get_task
from lamp.queries import document_text
from retrieval_app.models import Encoder
from retrieval_app.selectors import unembedded_documents
from retrieval_app.services import store_embeddings
from users_app.selectors import end_users, workspace_by_id
from workers import loaded
from workers.engine.encoder import encode


def handle(jobs: Sequence[ClaimedJob]) -> None:
    """Embed what waits of the job's end users; what was embedded before an interruption stays embedded."""
    for job in jobs:
        with job.isolated():
            _embed(job)


def _embed(job: ClaimedJob) -> None:
    workspace = workspace_by_id(job.workspace_id)
    record = Encoder.objects.filter(pk=job.payload["encoder_id"]).first()
    if workspace is None or record is None:
        raise Permanent("The workspace or the encoder of this job is gone.")
    model = loaded.encoder(record)
    task = get_task(job.payload["task"])
    people = list(end_users(workspace=workspace).filter(pk__in=job.payload["end_user_ids"]).order_by("pk"))
    embedded = 0
    for done, end_user in enumerate(people):
        job.check()
        job.progress(done=done, total=len(people), message=f"embedding for {task.key}")
        documents = list(unembedded_documents(workspace=workspace, end_user=end_user, task=task.key, encoder=record))
        if documents:
            texts = [document_text(task, document.fields) for document in documents]
            store_embeddings(end_user=end_user, encoder=record, documents=documents, vectors=encode(model, texts))
            embedded += len(documents)
    with job.finishing(result={"documents": embedded}):
        pass
