"""Asking for outputs, recording the answers, and saying so to whoever waits."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from jobs.errors import Permanent
from jobs.models import UNFINISHED, Job, State
from jobs.services import JobSpec, enqueue_many
from training_app import finishers
from training_app.kinds import GENERATE
from training_app.models import Adapter, Generation
from users_app.models import Document
from users_app.webhook_recording import Subject, record_events

CHANNEL: Final = "generations"
"""PostgreSQL's channel that carries the ids of generations that have ended."""

ORIGIN: Final = "generation"
"""Of jobs for generations that clients asked for: "generation:12"."""

FINISHED_EVENT: Final = "generation.finished"
"""What webhooks are told of a generation's end (`training_app.webhook_events`)."""

_CHUNK: Final = 1000
_NOTICES: Final = 500


@dataclass(frozen=True)
class Answer:
    """What a worker made of a generation; a preview has no `output`. Milliseconds are this row's share of its batch.

    Where a selector chose the retriever, `chosen_retriever` is the member of its pool, and `candidate_scores` are those
    of all members in order; prompt, output and documents are of the chosen one. Tokens and milliseconds are of all that
    was made for this answer; choosing counts as retrieving.
    """

    prompt: str
    output: str | None
    retrieved_document_ids: Sequence[int]
    retrieved_scores: Sequence[float]
    sequence_score: float | None
    input_tokens: int
    output_tokens: int | None
    retrieval_ms: float
    adapter_ms: float
    model_ms: float
    chosen_retriever: str = ""
    candidate_scores: Sequence[float] | None = None


def batch_key(*, base_model_id: int, parameters: Mapping[str, Any], priority: int = 0) -> str:
    """What generations must agree on to share a pass. Nobody who waits shares one with what waits for nobody.

    >>> batch_key(base_model_id=3, parameters={"num_beams": 4, "exact": False})
    '0|3|exact=False|num_beams=4'
    """
    settings = "|".join(f"{name}={parameters[name]}" for name in sorted(parameters))
    return f"{priority}|{base_model_id}|{settings}"


def generation_origin(generation_id: int) -> str:
    """The origin of the job for a generation that a client asked for."""
    return f"{ORIGIN}:{generation_id}"


@transaction.atomic(savepoint=False)
def request_generations(
    *, workspace_id: int, generations: Iterable[Generation], origin: str | None, priority: int = 0
) -> int:
    """Store the (unsaved) generations and ask for each by a job; returns their number.

    The jobs' `origin` is who asked for all of them; None: a client, and each job has its own generation's.
    """
    stored = Generation.objects.bulk_create(generations, batch_size=_CHUNK)
    enqueue_many(
        JobSpec(
            kind=GENERATE.name,
            payload={
                "generation_id": generation.pk,
                "batch": batch_key(
                    base_model_id=generation.base_model_id, parameters=generation.parameters, priority=priority
                ),
            },
            workspace_id=workspace_id,
            end_user_id=generation.end_user_id,
            origin=generation_origin(generation.pk) if origin is None else origin,
            priority=priority,
            dedupe_key=f"generation:{generation.pk}",
        )
        for generation in stored
    )
    return len(stored)


def record_answers(answers: Sequence[tuple[Generation, Answer]]) -> None:
    """Record the answers of these generations, and hand them to whoever asked; in the transaction that ends their jobs.

    One that was erased meanwhile stays erased. Raises `Permanent` where an adapter that answered was withdrawn
    meanwhile: nothing that it says is kept.
    """
    _refuse_withdrawn({generation.adapter_id for generation, _ in answers if generation.adapter_id is not None})
    quotable = _quotable(answers)
    staying: list[Generation] = []
    handed_over: list[Generation] = []
    for generation, answer in answers:
        generation.prompt = answer.prompt if generation.pk in quotable else ""
        generation.output = answer.output
        generation.retrieved_document_ids = list(answer.retrieved_document_ids)
        generation.retrieved_scores = list(answer.retrieved_scores)
        generation.sequence_score = answer.sequence_score
        generation.input_tokens = answer.input_tokens
        generation.output_tokens = answer.output_tokens
        generation.retrieval_ms = answer.retrieval_ms
        generation.adapter_ms = answer.adapter_ms
        generation.model_ms = answer.model_ms
        generation.chosen_retriever = answer.chosen_retriever
        generation.candidate_scores = None if answer.candidate_scores is None else list(answer.candidate_scores)
        (handed_over if finishers.hand_over(generation) else staying).append(generation)
    if handed_over:
        Generation.objects.filter(pk__in=[one.pk for one in handed_over]).delete()
    _store(staying)
    _notify([generation.pk for generation in staying])
    _record_ends(
        [
            Subject(workspace_id=one.end_user.workspace_id, id=one.pk, outcome=Generation.State.DONE.value)
            for one in staying
            if one.kind == Generation.Kind.ANSWER and one.asked_method
        ]
    )


_STORE: Final = """
    UPDATE training_app_generation
       SET prompt = %s, output = %s, retrieved_document_ids = %s, retrieved_scores = %s::float8[], sequence_score = %s,
           input_tokens = %s, output_tokens = %s, retrieval_ms = %s, adapter_ms = %s, model_ms = %s,
           chosen_retriever = %s, candidate_scores = %s::float8[],
           state = 'done', finished_at = statement_timestamp(), problem_slug = '', problem_detail = ''
     WHERE id = %s
"""


def _store(answered: Sequence[Generation]) -> None:
    """Write the answers into their rows: one statement each, sent together."""
    if not answered:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            _STORE,
            [
                (
                    one.prompt,
                    one.output,
                    one.retrieved_document_ids,
                    one.retrieved_scores,
                    one.sequence_score,
                    one.input_tokens,
                    one.output_tokens,
                    one.retrieval_ms,
                    one.adapter_ms,
                    one.model_ms,
                    one.chosen_retriever,
                    one.candidate_scores,
                    one.pk,
                )
                for one in answered
            ],
        )


def _refuse_withdrawn(adapter_ids: Collection[int]) -> None:
    withdrawn = Adapter.objects.filter(pk__in=adapter_ids, withdrawn_at__isnull=False).values_list("pk", flat=True)
    for adapter_id in withdrawn[:1]:
        raise Permanent(f"Adapter {adapter_id} was withdrawn while it answered. Start again to have it trained anew.")


def _quotable(answers: Sequence[tuple[Generation, Answer]]) -> set[int]:
    """The generations whose prompts may be kept: none of the documents that they quote was erased meanwhile."""
    quoted = {generation.pk: set(answer.retrieved_document_ids) for generation, answer in answers}
    if any(quoted.values()):
        # Whoever erases a document takes these rows too: it finds the prompt, or this finds the document gone.
        rows = Generation.objects.select_for_update(of=("self",), no_key=True).order_by("pk")
        list(rows.filter(pk__in=[pk for pk, documents in quoted.items() if documents]).values_list("pk"))
    standing = set(
        Document.objects.filter(
            end_user__in={generation.end_user_id for generation, _ in answers}, pk__in=set().union(*quoted.values())
        ).values_list("end_user_id", "pk")
    )
    return {
        generation.pk
        for generation, _ in answers
        if all((generation.end_user_id, document_id) in standing for document_id in quoted[generation.pk])
    }


def asked_by_clients() -> QuerySet[Generation]:
    """Those that nobody else keeps the answers of: no evaluation run's."""
    return Generation.objects.exclude(asked_method="")


def jobs_of_generations(origins: Collection[str]) -> QuerySet[Job]:
    """The jobs of these origins."""
    # The second condition is the index's own, which PostgreSQL does not see in a long list.
    return Job.objects.filter(origin__in=origins).exclude(origin="")


def conclude(origins: Collection[str]) -> None:
    """End the generations of these origins whose jobs have ended without an answer; told by the queue after the end."""
    conclude_all([int(origin.removeprefix(f"{ORIGIN}:")) for origin in origins])


def conclude_all(generation_ids: Collection[int]) -> int:
    """End those of these generations whose jobs failed, were cancelled or are gone; how many that were.

    Safe to repeat; one whose job waits or runs, or that has ended, stays as it is.
    """
    under_way = asked_by_clients().filter(pk__in=generation_ids, state=Generation.State.ASKED)
    origins = {
        generation_origin(pk): (pk, kind, workspace_id)
        for pk, kind, workspace_id in under_way.values_list("pk", "kind", "end_user__workspace_id")
    }
    jobs = {job.origin: job for job in jobs_of_generations(origins).order_by("pk")}
    concluded = 0
    for origin, (pk, kind, workspace_id) in origins.items():
        job = jobs.get(origin)
        if job is not None and job.state in UNFINISHED:
            continue
        with transaction.atomic():
            # An answer that is being recorded in this moment comes first, and then this changes nothing.
            problem = _problem(job)
            ended = Generation.objects.filter(pk=pk, state=Generation.State.ASKED).update(**problem, finished_at=Now())
            if ended:
                _notify([pk])
            if ended and kind == Generation.Kind.ANSWER:
                _record_ends([Subject(workspace_id=workspace_id, id=pk, outcome=problem["state"])])
        concluded += ended
    return concluded


def _problem(job: Job | None) -> dict[str, str]:
    """What became of a generation whose job ended so, for its row."""
    if job is not None and job.state == State.CANCELLED:
        return {
            "state": Generation.State.CANCELLED,
            "problem_slug": "generation-cancelled",
            "problem_detail": "It was cancelled before it was answered. Ask again.",
        }
    # A job's message holds no user's text (`jobs.errors`).
    why = (job.error_message or job.error_type) if job is not None else "Its job is gone."
    return {
        "state": Generation.State.FAILED,
        "problem_slug": "generation-failed",
        "problem_detail": f"It could not be answered: {why}"[:600],
    }


def _record_ends(ended: Sequence[Subject]) -> None:
    """Let the workspaces' webhooks be told, exactly if the ends stand."""
    record_events(FINISHED_EVENT, ended)


def _notify(generation_ids: Sequence[int]) -> None:
    """Wake whoever waits for these, once the transaction has committed."""
    with connection.cursor() as cursor:
        for start in range(0, len(generation_ids), _NOTICES):
            payload = ",".join(map(str, generation_ids[start : start + _NOTICES]))
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, payload])
