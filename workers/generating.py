"""The job that answers: retrieves from the user's profile, builds the prompt, generates with their adapter or none.

Many users' generations share one pass of the base model; each is finished on its own.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.batches import ClaimedJob
from lamp.catalogue import get_task
from lamp.queries import query_of
from retrieval_app.prompts import build_prompt
from retrieval_app.services import DENSE, Retrieved, retrieve
from training_app.generations import Answer, record_answer
from training_app.models import Generation
from users_app.selectors import snapshot_documents
from workers import loaded
from workers.adapter_cache import StoredAdapter, adapter_cache
from workers.engine.base_model import BaseModel
from workers.engine.encoder import encode
from workers.engine.generation import Answered, GenerationRow
from workers.serving_log import serving_log


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
            record = generation.adapter
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
            rows.append(row)
    if rows:
        _answer(rows)


def _unanswered(jobs: Sequence[ClaimedJob]) -> dict[int, Generation]:
    return (
        Generation.objects.select_related("end_user__workspace", "base_model", "encoder", "adapter")
        .filter(finished_at__isnull=True)
        .in_bulk([job.payload["generation_id"] for job in jobs])
    )


def _build_prompt(row: _Row, base: BaseModel) -> None:
    generation = row.generation
    row.prompt = generation.input
    if not generation.retriever:
        return
    begun = time.perf_counter()
    row.retrieved = _retrieve(generation)
    if row.retrieved:
        row.prompt = build_prompt(
            get_task(generation.task),
            generation.input,
            [one.document.fields for one in row.retrieved],
            tokenizer=base.tokenizer,
            max_input_tokens=generation.parameters["max_input_tokens"],
        )
    row.retrieval_ms = (time.perf_counter() - begun) * 1000


def _retrieve(generation: Generation) -> list[Retrieved]:
    task = get_task(generation.task)
    workspace = generation.end_user.workspace
    query = query_of(task, generation.input)
    documents = snapshot_documents(
        workspace=workspace,
        end_user=generation.end_user,
        task=task.key,
        document_ids=generation.profile_document_ids,
    )
    return retrieve(
        workspace=workspace,
        end_user=generation.end_user,
        task=task.key,
        documents=documents,
        retriever=generation.retriever,
        query=query,
        count=generation.documents_wanted,
        encoder=generation.encoder,
        query_vector=_query_vector(generation, query),
    )


def _query_vector(generation: Generation, query: str) -> NDArray[np.float32] | None:
    if generation.retriever not in DENSE or generation.encoder is None:
        return None
    # One query a pass: a user's vector must not depend on who else is asking.
    vector: NDArray[np.float32] = encode(loaded.encoder(generation.encoder), [query])[0]
    return vector


def _answer(rows: Sequence[_Row]) -> None:
    """Generate, and finish each row as soon as its batch is answered."""
    parameters = rows[0].generation.parameters
    generator = loaded.generator(rows[0].generation.base_model, dtype=parameters["dtype"])
    for answered in generator.answers(
        [GenerationRow(prompt=row.prompt, adapter=row.adapter) for row in rows],
        num_beams=parameters["num_beams"],
        max_input_tokens=parameters["max_input_tokens"],
        max_output_tokens=parameters["max_output_tokens"],
        exact=parameters["exact"],
    ):
        _finish(rows[answered.row], answered)
    serving_log.report(memory=adapter_cache.snapshot(), slots=generator.snapshot())


def _finish(row: _Row, answered: Answered) -> None:
    with row.job.isolated():
        made = answered.result()
        answer = Answer(
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
        with row.job.finishing():
            record_answer(generation=row.generation, answer=answer)
