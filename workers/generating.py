"""The job that answers: retrieves from the user's profile, builds the prompt, generates with their adapter or none.

Many users' generations share one pass of the base model, and are recorded together. A preview ends with its prompt.
Where a selector chooses the retriever it does so by the prompts, before anything is generated (RSPG-Pre), or by what
was generated from each of them (RSPG-Post).
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jobs.batches import ClaimedJob, Permanent, finishing_together
from jobs.errors import describe
from retrieval_app.retrievers import RSPG_POST, RSPG_PRE
from training_app.generations import Answer, record_answers
from training_app.measures import observe
from training_app.models import Generation
from workers import loaded
from workers.adapter_cache import StoredAdapter, adapter_cache
from workers.adapter_counts import MEMORY, SLOTS, adapter_counts
from workers.candidates import Candidate, candidates_of
from workers.engine.base_model import BaseModel
from workers.engine.generation import Answered, GeneratedText, GenerationRow
from workers.selecting import Selection, select
from workers.serving_log import serving_log

logger = logging.getLogger(__name__)


@dataclass
class _Row:
    """One generation on its way through the batch."""

    job: ClaimedJob
    generation: Generation
    adapter: StoredAdapter | None
    candidates: Sequence[Candidate] = ()
    # None where no selector chooses, and for as long as it has not chosen.
    selection: Selection | None = None
    # Retrieving, building prompts, and choosing among candidates.
    retrieval_ms: float = 0.0
    answered: dict[str, Answered] = field(default_factory=dict)

    @property
    def chosen(self) -> Candidate:
        return self.candidates[self.selection.place if self.selection is not None else 0]

    @property
    def prompts(self) -> list[str]:
        """What is generated from: each prompt once, of all candidates for as long as one is to be chosen by outputs."""
        if self.generation.retriever == RSPG_POST:
            return list(dict.fromkeys(candidate.prompt for candidate in self.candidates))
        return [self.chosen.prompt]

    @property
    def is_answered(self) -> bool:
        return len(self.answered) == len(self.prompts)


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
            if row.generation.kind == Generation.Kind.PREVIEW:
                _require_prompt_before_answer(row.generation)
                _build_prompts(row, base)
                _finish_alone(row, _preview_of(row, base))
            else:
                _build_prompts(row, base)
                rows.append(row)
    if rows:
        _answer(rows)


def _unanswered(jobs: Sequence[ClaimedJob]) -> dict[int, Generation]:
    return (
        Generation.objects.select_related("end_user__workspace", "base_model", "encoder", "selector", "adapter")
        .exclude(state=Generation.State.DONE)
        .in_bulk([job.payload["generation_id"] for job in jobs])
    )


def _build_prompts(row: _Row, base: BaseModel) -> None:
    begun = time.perf_counter()
    row.candidates = candidates_of(row.generation, base=base)
    if row.generation.retriever == RSPG_PRE:
        row.selection = _select(row, outputs=[None] * len(row.candidates))
    if row.generation.retriever:
        row.retrieval_ms = (time.perf_counter() - begun) * 1000


def _select(row: _Row, *, outputs: Sequence[str | None]) -> Selection:
    assert row.generation.selector is not None
    return select(row.generation.selector, row.candidates, outputs=outputs, exact=row.generation.parameters["exact"])


def _answer(rows: Sequence[_Row]) -> None:
    """Generate, and finish the rows that each batch of the base model completes as soon as it is answered."""
    parameters = rows[0].generation.parameters
    generator = loaded.generator(rows[0].generation.base_model, dtype=parameters["dtype"])
    asked = [(row, prompt) for row in rows for prompt in row.prompts]
    for batch in generator.answers(
        [GenerationRow(prompt=prompt, adapter=row.adapter) for row, prompt in asked],
        num_beams=parameters["num_beams"],
        max_input_tokens=parameters["max_input_tokens"],
        max_output_tokens=parameters["max_output_tokens"],
        exact=parameters["exact"],
    ):
        complete: list[_Row] = []
        for answered in batch:
            row, prompt = asked[answered.row]
            row.answered[prompt] = answered
            if row.is_answered and row.job.ended_as is None:
                complete.append(row)
        _finish(complete)
        _look_up(rows)
    memory, slots = adapter_cache.snapshot(), generator.snapshot()
    adapter_counts.take(MEMORY, hits=memory.hits, misses=memory.misses)
    base_model_id = rows[0].generation.base_model_id
    adapter_counts.take(SLOTS, of=f"{base_model_id} {parameters['dtype']}", hits=slots.hits, misses=slots.copies)
    serving_log.report(memory=memory, slots=slots)


def _look_up(rows: Sequence[_Row]) -> None:
    """Notice who was cancelled or taken over meanwhile, and pass on that the worker stops: the rest then goes back."""
    for row in rows:
        if row.job.ended_as is None:
            with row.job.isolated():
                row.job.check()


def _finish(rows: Sequence[_Row]) -> None:
    """Record the answers of rows that are complete: all at once, or, where that cannot be, one after the other."""
    made: list[tuple[_Row, Answer]] = []
    for row in rows:
        with row.job.isolated():
            made.append((row, _answer_of(row)))
    if len(made) > 1:
        try:
            with finishing_together([row.job for row, _ in made]):
                record_answers([(row.generation, answer) for row, answer in made])
        except Exception as exc:  # noqa: BLE001 - each alone finds out whose fault it was, and whether it lasts
            logger.info("answers are recorded one by one: %s", describe(exc).for_log())
        else:
            for row, answer in made:
                observe(row.generation, answer)
            return
    for row, answer in made:
        _finish_alone(row, answer)


def _finish_alone(row: _Row, answer: Answer) -> None:
    with row.job.isolated():
        with row.job.finishing():
            record_answers([(row.generation, answer)])
        observe(row.generation, answer)


def _answer_of(row: _Row) -> Answer:
    made = {prompt: answered.result() for prompt, answered in row.answered.items()}
    if row.generation.retriever == RSPG_POST:
        _choose_by_outputs(row, made)
    chosen = made[row.chosen.prompt]
    return Answer(
        prompt=row.chosen.prompt,
        output=chosen.text,
        retrieved_document_ids=[one.document.pk for one in row.chosen.retrieved],
        retrieved_scores=[one.score for one in row.chosen.retrieved],
        sequence_score=chosen.score,
        # Of everything that was generated for it.
        input_tokens=sum(one.input_tokens for one in made.values()),
        output_tokens=sum(one.output_tokens for one in made.values()),
        retrieval_ms=row.retrieval_ms,
        adapter_ms=sum(one.adapter_seconds for one in row.answered.values()) * 1000,
        model_ms=sum(one.model_seconds for one in row.answered.values()) * 1000,
        chosen_retriever=row.chosen.retriever if row.selection is not None else "",
        candidate_scores=row.selection.scores if row.selection is not None else None,
    )


def _choose_by_outputs(row: _Row, made: Mapping[str, GeneratedText]) -> None:
    begun = time.perf_counter()
    row.selection = _select(row, outputs=[made[candidate.prompt].text for candidate in row.candidates])
    row.retrieval_ms += (time.perf_counter() - begun) * 1000


def _require_prompt_before_answer(generation: Generation) -> None:
    """Raise `Permanent` where what the prompt will be is only known once it is answered."""
    if generation.retriever == RSPG_POST:
        raise Permanent(
            "RSPG-Post chooses by what is generated from each prompt, and a preview generates nothing: ask for an "
            "answer, or for a preview with another retriever."
        )


def _preview_of(row: _Row, base: BaseModel) -> Answer:
    tokens = len(base.tokenizer.encode(row.chosen.prompt))
    return Answer(
        prompt=row.chosen.prompt,
        output=None,
        retrieved_document_ids=[one.document.pk for one in row.chosen.retrieved],
        retrieved_scores=[one.score for one in row.chosen.retrieved],
        sequence_score=None,
        input_tokens=min(tokens, row.generation.parameters["max_input_tokens"]),
        output_tokens=None,
        retrieval_ms=row.retrieval_ms,
        adapter_ms=0.0,
        model_ms=0.0,
        chosen_retriever=row.chosen.retriever if row.selection is not None else "",
        candidate_scores=row.selection.scores if row.selection is not None else None,
    )
