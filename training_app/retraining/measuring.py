"""What a trial, the old adapter and none answer for the documents held out, and how well.

Each document becomes a question as it would become a training pair, without retrieval. The answers stand in
generations that no client asked for, and are deleted once they are scored.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from django.conf import settings
from django.db.models import QuerySet

from lamp.metrics import sample_scores
from lamp.pairs import pair_of
from lamp.tasks import Metric, Task
from training_app.generations import request_generations
from training_app.models import Adapter, Generation, Retraining
from training_app.retraining.judging import Candidate
from users_app.models import Document
from users_app.selectors import snapshot_documents

ORIGIN: Final = "retraining"
"""Of all jobs of a retraining: "retraining:12"; its generations add the candidate and the document."""

# As evaluation runs search unless told otherwise.
_BEAMS: Final = 4
_OUTPUT_TOKENS: Final = 128


def retraining_origin(retraining_id: int) -> str:
    """The origin of all jobs of a retraining."""
    return f"{ORIGIN}:{retraining_id}"


def answers_of(retraining: Retraining) -> QuerySet[Generation]:
    """What was asked for a retraining, answered or not."""
    return Generation.objects.filter(
        end_user=retraining.end_user_id, origin__startswith=f"{retraining_origin(retraining.pk)}/"
    )


def forget_answers(*, of_none_among: Collection[int]) -> None:
    """Delete what was asked for other retrainings than these."""
    left = Generation.objects.filter(origin__startswith=f"{ORIGIN}:")
    origins = {origin.partition("/")[0] for origin in left.values_list("origin", flat=True).iterator()}
    for origin in sorted(origins - {retraining_origin(pk) for pk in of_none_among}):
        left.filter(origin__startswith=f"{origin}/").delete()


def metric_of(task: Task) -> Metric:
    """By which candidates are compared: the task's first that a single answer has a value of."""
    gold = str(task.rating.lowest) if task.rating is not None else "a"
    known = sample_scores(task, gold, gold)
    return next(metric for metric in task.metrics if metric.name in known)


def ask(retraining: Retraining, *, task: Task, adapters: dict[Candidate, Adapter | None]) -> None:
    """Ask for each candidate's answer for each document held out; of two with the same adapter, the first alone."""
    asked: dict[Adapter | None, Candidate] = {}
    for candidate, adapter in adapters.items():
        asked.setdefault(adapter, candidate)
    request_generations(
        workspace_id=retraining.end_user.workspace_id,
        generations=(
            one
            for adapter, candidate in asked.items()
            for one in _generations(retraining, task=task, candidate=candidate, adapter=adapter)
        ),
        origin=retraining_origin(retraining.pk),
    )


def _generations(
    retraining: Retraining, *, task: Task, candidate: Candidate, adapter: Adapter | None
) -> Iterator[Generation]:
    for document in _held_out(retraining):
        yield Generation(
            end_user=retraining.end_user,
            task=task.key,
            task_version=task.version,
            base_model=retraining.base_model,
            family=Generation.Family.NONE if adapter is None else Generation.Family.PEFT,
            adapter=adapter,
            parameters={
                "num_beams": _BEAMS,
                "max_input_tokens": settings.GENERATION_INPUT_TOKENS,
                "max_output_tokens": _OUTPUT_TOKENS,
                "exact": retraining.settings["exact"],
                "dtype": retraining.settings["dtype"],
            },
            input=pair_of(task, document.fields).input,
            # By which erasing the document finds the question that is made of it.
            profile_document_ids=[document.pk],
            origin=f"{retraining_origin(retraining.pk)}/{candidate}/{document.pk}",
        )


def scores(
    retraining: Retraining, *, task: Task, adapters: dict[Candidate, Adapter | None]
) -> dict[Candidate, list[float]] | None:
    """By candidate, the metric on each document held out, in their order; None where an answer is missing."""
    outputs: dict[tuple[int | None, int], str] = {}
    for one in answers_of(retraining).filter(state=Generation.State.DONE):
        outputs[one.adapter_id, one.profile_document_ids[0]] = one.output or ""
    metric, documents = metric_of(task).name, _held_out(retraining)
    golds = {document.pk: pair_of(task, document.fields).output for document in documents}
    found: dict[Candidate, list[float]] = {}
    for candidate, adapter in adapters.items():
        wanted = [(None if adapter is None else adapter.pk, document.pk) for document in documents]
        if not outputs.keys() >= set(wanted):
            return None
        found[candidate] = [sample_scores(task, outputs[key], golds[key[1]])[metric] for key in wanted]
    return found


def _held_out(retraining: Retraining) -> Sequence[Document]:
    return snapshot_documents(
        workspace=retraining.end_user.workspace,
        end_user=retraining.end_user,
        task=retraining.task,
        document_ids=retraining.held_out_ids,
    )


def in_words(metric: Metric, means: dict[Candidate, float], *, measured: int, seen: int) -> str:
    """How the candidates did, for people; it holds no user's text."""
    names = {Candidate.TRIAL: "the trial", Candidate.OLD: "the old adapter", Candidate.NONE: "none"}
    compared = ", ".join(f"{names[candidate]} {mean:.4g}" for candidate, mean in means.items())
    documents = f"{measured} document{'' if measured == 1 else 's'}"
    known = f" The old adapter has learned from {seen} of them." if seen else ""
    return f"{metric.name} on the newest {documents}, held out: {compared}.{known}"


def better(metric: Metric, one: float, other: float) -> bool:
    """Whether `one` is better than `other`, not equal."""
    return one > other if metric.higher_is_better else one < other


def stored(found: dict[Candidate, list[float]]) -> dict[str, Any]:
    """The scores as a retraining's row keeps them."""
    return {candidate.value: values for candidate, values in found.items()}
