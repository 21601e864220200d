"""The job that answers: retrieves from the user's profile, builds the prompt, generates with their adapter or none.

Many users' generations share one pass of the base model, and are recorded together. A preview ends with its prompt.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from jobs.batches import ClaimedJob, Permanent, finishing_together
from jobs.errors import describe
from lamp.catalogue import UnknownTask
from lamp.queries import query_of
from lamp.tasks import Task
from retrieval_app.prompts import build_prompt
from retrieval_app.retrievers import DENSE
from retrieval_app.services import NotEmbedded, Retrieved, retrieve
from training_app.generations import Answer, record_answers
from training_app.models import Generation
from users_app.models import Document
from users_app.selectors import UnknownDocuments, documents_of, snapshot_documents
from users_app.tasks import task_of, task_version_of
from workers import loaded
from workers.adapter_cache import StoredAdapter, adapter_cache
from workers.embedding import embed_missing
from workers.engine.base_model import BaseModel
from workers.engine.encoder import encode
from workers.engine.generation import Answered, GenerationRow
from workers.serving_log import serving_log

logger = logging.getLogger(__name__)


@dataclass
class _Row:
    """One generation on its way through the batch."""

    job: ClaimedJob
    generation: Generation
    adapter: StoredAdapter | None
    retrieved: Sequence[Retrieved] = ()
    prompt: str = ""
    retrieval_ms: float = 0.0


def handle(jobs: Sequence[ClaimedJob]) -> None:
    """Answer the generations of one batch key: they share the base model and the settings of the search."""
    asked: list[_Row] = []
    base: BaseModel | None = None
    generations = _unanswered(jobs)
    for job in jobs:
        generation = generations.get(job.payload["generation_id"])
        with job.isolated():
            if generation is None:
                # Erased, or answered by an attempt whose mark was lost: nothing is left to do.
                with job.finishing(result={"answered": False}):
                    continue
            job.check()
            base = base or loaded.base_model(generation.base_model, dtype=generation.parameters["dtype"])
            record = None if generation.kind == Generation.Kind.PREVIEW else generation.adapter
            adapter = None if record is None else adapter_cache.source(record, base=base)
            asked.append(_Row(job, generation, adapter))
    if base is None:
        return
    # Adapters come while prompts are built, and those of later batches while the first one is answered.
    adapter_cache.load_ahead(row.adapter for row in asked if row.adapter is not None)
    rows: list[_Row] = []
    for row in asked:
        with row.job.isolated():
            row.job.check()
            _build_prompt(row, base)
            if row.generation.kind == Generation.Kind.PREVIEW:
                _finish_alone(row, _preview_of(row, base))
            else:
                rows.append(row)
    if rows:
        _answer(rows)


def _unanswered(jobs: Sequence[ClaimedJob]) -> dict[int, Generation]:
    return (
        Generation.objects.select_related("end_user__workspace", "base_model", "encoder", "adapter")
        .exclude(state=Generation.State.DONE)
        .in_bulk([job.payload["generation_id"] for job in jobs])
    )


def _build_prompt(row: _Row, base: BaseModel) -> None:
    generation = row.generation
    row.prompt = generation.input
    if not generation.retriever:
        return
    begun = time.perf_counter()
    task = _task_of(generation)
    row.retrieved = _retrieve(generation, task)
    if row.retrieved:
        row.prompt = build_prompt(
            task,
            generation.input,
            [one.document.fields for one in row.retrieved],
            tokenizer=base.tokenizer,
            max_input_tokens=generation.parameters["max_input_tokens"],
        )
    row.retrieval_ms = (time.perf_counter() - begun) * 1000


def _task_of(generation: Generation) -> Task:
    workspace, key = generation.end_user.workspace, generation.task
    try:
        if generation.task_version:
            return task_version_of(workspace=workspace, key=key, version=generation.task_version)
        return task_of(workspace=workspace, key=key)
    except UnknownTask:
        raise Permanent("This worker's task catalogue is not the one this was asked from: update it.") from None


def _retrieve(generation: Generation, task: Task) -> list[Retrieved]:
    workspace = generation.end_user.workspace
    query = query_of(task, generation.input)
    documents = _documents(generation)
    vector = _query_vector(generation, query)
    best = partial(
        retrieve,
        workspace=workspace,
        end_user=generation.end_user,
        task=task.key,
        documents=documents,
        retriever=generation.retriever,
        query=query,
        count=generation.documents_wanted,
        encoder=generation.encoder,
        query_vector=vector,
    )
    try:
        return best()
    except NotEmbedded:
        assert generation.encoder is not None
        # Documents that came a moment ago: the job that embeds them may not have run yet.
        among = {document.pk for document in documents}
        embed_missing(end_user=generation.end_user, task=task, encoder=generation.encoder, among=among)
        return best()


def _documents(generation: Generation) -> list[Document]:
    """The profile as of the question. What has been deleted since is missing where a client asked."""
    end_user, ids = generation.end_user, generation.profile_document_ids
    try:
        return snapshot_documents(
            workspace=end_user.workspace, end_user=end_user, task=generation.task, document_ids=ids
        )
    except UnknownDocuments:
        if not generation.asked_method:
            raise
    left = documents_of(workspace=end_user.workspace, end_user=end_user, task=generation.task).in_bulk(ids)
    return [left[document_id] for document_id in ids if document_id in left]


def _query_vector(generation: Generation, query: str) -> NDArray[np.float32] | None:
    if generation.retriever not in DENSE or generation.encoder is None:
        return None
    # One query a pass: a user's vector must not depend on who else is asking.
    vector: NDArray[np.float32] = encode(loaded.encoder(generation.encoder), [query])[0]
    return vector


def _answer(rows: Sequence[_Row]) -> None:
    """Generate, and finish the rows of each batch as soon as it is answered."""
    parameters = rows[0].generation.parameters
    generator = loaded.generator(rows[0].generation.base_model, dtype=parameters["dtype"])
    for batch in generator.answers(
        [GenerationRow(prompt=row.prompt, adapter=row.adapter) for row in rows],
        num_beams=parameters["num_beams"],
        max_input_tokens=parameters["max_input_tokens"],
        max_output_tokens=parameters["max_output_tokens"],
        exact=parameters["exact"],
    ):
        _finish([(rows[answered.row], answered) for answered in batch])
    serving_log.report(memory=adapter_cache.snapshot(), slots=generator.snapshot())


def _finish(batch: Sequence[tuple[_Row, Answered]]) -> None:
    """Record the answers of a batch: all at once, or, where that cannot be, one after the other."""
    made: list[tuple[_Row, Answer]] = []
    for row, answered in batch:
        with row.job.isolated():
            made.append((row, _answer_of(row, answered)))
    if len(made) > 1:
        try:
            with finishing_together([row.job for row, _ in made]):
                record_answers([(row.generation, answer) for row, answer in made])
        except Exception as exc:  # noqa: BLE001 - each alone finds out whose fault it was, and whether it lasts
            logger.info("answers are recorded one by one: %s", describe(exc).for_log())
        else:
            return
    for row, answer in made:
        _finish_alone(row, answer)


def _finish_alone(row: _Row, answer: Answer) -> None:
    with row.job.isolated(), row.job.finishing():
        record_answers([(row.generation, answer)])


def _answer_of(row: _Row, answered: Answered) -> Answer:
    made = answered.result()
    return Answer(
        prompt=row.prompt,
        output=made.text,
        retrieved_document_ids=[one.document.pk for one in row.retrieved],
        retrieved_scores=[one.score for one in row.retrieved],
        sequence_score=made.score,
        input_tokens=made.input_tokens,
        output_tokens=made.output_tokens,
        retrieval_ms=row.retrieval_ms,
        adapter_ms=answered.adapter_seconds * 1000,
        model_ms=answered.model_seconds * 1000,
    )


def _preview_of(row: _Row, base: BaseModel) -> Answer:
    tokens = len(base.tokenizer.encode(row.prompt))
    return Answer(
        prompt=row.prompt,
        output=None,
        retrieved_document_ids=[one.document.pk for one in row.retrieved],
        retrieved_scores=[one.score for one in row.retrieved],
        sequence_score=None,
        input_tokens=min(tokens, row.generation.parameters["max_input_tokens"]),
        output_tokens=None,
        retrieval_ms=row.retrieval_ms,
        adapter_ms=0.0,
        model_ms=0.0,
    )
