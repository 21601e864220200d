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
from workers.adapter_cache import adapter_cache
from workers.engine.adapters import AdapterWeights
from workers.engine.base_model import BaseModel
from workers.engine.encoder import encode
from workers.engine.generation import GenerationRow


@dataclass
class _Row:
    """One generation on its way through the batch."""

    job: ClaimedJob
    generation: Generation
    retrieved: Sequence[Retrieved]
    prompt: str
    retrieval_ms: float
    adapter: AdapterWeights | None = None
    adapter_ms: float = 0.0


def handle(jobs: list[ClaimedJob]) -> None:
    """Answer the generations of one batch key: they share the base model and the settings of the search."""
    generations = (
        Generation.objects.select_related("end_user__workspace", "base_model", "encoder", "adapter")
        .filter(finished_at__isnull=True)
        .in_bulk([job.payload["generation_id"] for job in jobs])
    )
    rows: list[_Row] = []
    base: BaseModel | None = None
    for job in jobs:
        generation = generations.get(job.payload["generation_id"])
        with job.isolated():
            if generation is None:
                # Erased, or answered by an attempt whose mark was lost: nothing is left to do.
                with job.finishing(result={"answered": False}):
                    continue
            job.check()
            base = base or loaded.base_model(generation.base_model, dtype=generation.parameters["dtype"])
            rows.append(_prepare(job, generation, base))
    if rows:
        _answer(rows)


def _prepare(job: ClaimedJob, generation: Generation, base: BaseModel) -> _Row:
    begun = time.perf_counter()
    task = get_task(generation.task)
    retrieved = _retrieve(generation) if generation.retriever else []
    prompt = generation.input
    if retrieved:
        prompt = build_prompt(
            task,
            generation.input,
            [one.document.fields for one in retrieved],
            tokenizer=base.tokenizer,
            max_input_tokens=generation.parameters["max_input_tokens"],
        )
    row = _Row(job, generation, retrieved, prompt, retrieval_ms=_ms_since(begun) if generation.retriever else 0.0)
    if generation.adapter is not None:
        begun = time.perf_counter()
        row.adapter = adapter_cache.get(generation.adapter, base=base)
        row.adapter_ms = _ms_since(begun)
    return row


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
    parameters = rows[0].generation.parameters
    begun = time.perf_counter()
    generated = loaded.generator(rows[0].generation.base_model, dtype=parameters["dtype"]).generate(
        [GenerationRow(prompt=row.prompt, adapter=row.adapter) for row in rows],
        num_beams=parameters["num_beams"],
        max_input_tokens=parameters["max_input_tokens"],
        max_output_tokens=parameters["max_output_tokens"],
        exact=parameters["exact"],
    )
    model_ms = _ms_since(begun) / len(rows)
    for row, made in zip(rows, generated, strict=True):
        answer = Answer(
            prompt=row.prompt,
            output=made.text,
            retrieved_document_ids=[one.document.pk for one in row.retrieved],
            retrieved_scores=[one.score for one in row.retrieved],
            sequence_score=made.score,
            input_tokens=made.input_tokens,
            output_tokens=made.output_tokens,
            retrieval_ms=row.retrieval_ms,
            adapter_ms=row.adapter_ms,
            model_ms=model_ms,
        )
        with row.job.isolated(), row.job.finishing():
            record_answer(generation=row.generation, answer=answer)


def _ms_since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000
