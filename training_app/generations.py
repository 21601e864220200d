"""Asking for outputs, and recording the answers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from jobs.services import JobSpec, enqueue_many
from training_app import finishers
from training_app.kinds import GENERATE
from training_app.models import Generation


@dataclass(frozen=True)
class Answer:
    """What a worker made of a generation. Milliseconds are this row's share of its batch."""

    prompt: str
    output: str
    retrieved_document_ids: Sequence[int]
    retrieved_scores: Sequence[float]
    sequence_score: float
    input_tokens: int
    output_tokens: int
    retrieval_ms: float
    adapter_ms: float
    model_ms: float


def batch_key(*, base_model_id: int, parameters: Mapping[str, Any]) -> str:
    """What generations must agree on to share a pass.

    >>> batch_key(base_model_id=3, parameters={"num_beams": 4, "exact": False})
    '3|exact=False|num_beams=4'
    """
    settings = "|".join(f"{name}={parameters[name]}" for name in sorted(parameters))
    return f"{base_model_id}|{settings}"


@transaction.atomic
def request_generations(*, workspace_id: int, generations: Iterable[Generation], origin: str, priority: int = 0) -> int:
    """Store the (unsaved) generations and ask for each by a job; returns their number."""
    stored = Generation.objects.bulk_create(generations, batch_size=1000)
    enqueue_many(
        JobSpec(
            kind=GENERATE.name,
            payload={
                "generation_id": generation.pk,
                "batch": batch_key(base_model_id=generation.base_model_id, parameters=generation.parameters),
            },
            workspace_id=workspace_id,
            end_user_id=generation.end_user_id,
            origin=origin,
            priority=priority,
            dedupe_key=f"generation:{generation.pk}",
        )
        for generation in stored
    )
    return len(stored)


def record_answer(*, generation: Generation, answer: Answer) -> None:
    """Record `answer`, and hand it to whoever asked. Runs in the transaction that finishes the job."""
    generation.prompt = answer.prompt
    generation.output = answer.output
    generation.retrieved_document_ids = list(answer.retrieved_document_ids)
    generation.retrieved_scores = list(answer.retrieved_scores)
    generation.sequence_score = answer.sequence_score
    generation.input_tokens = answer.input_tokens
    generation.output_tokens = answer.output_tokens
    generation.retrieval_ms = answer.retrieval_ms
    generation.adapter_ms = answer.adapter_ms
    generation.model_ms = answer.model_ms
    generation.finished_at = Now()
    if finishers.hand_over(generation):
        generation.delete()
    else:
        generation.save()
