"""Answers as a person is shown them: the output, what it was made from, and what differs from another's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.utils import timezone

from lamp.catalogue import UnknownTask
from lamp.queries import document_text
from lamp.tasks import Task
from lamp.templates import MissingField
from retrieval_app.chosen import Chosen
from retrieval_app.retrievers import TITLES
from training_app.adapter_selectors import adapters_of
from training_app.generation_selectors import WAITING, Told, told_of
from training_app.models import Generation
from training_app.serving_selectors import not_passed_over
from training_app.side_by_side import Piece, differences
from users_app.models import Workspace
from users_app.selectors import documents_of
from users_app.tasks import task_version_of

_LONG: Final = timedelta(seconds=30)


@dataclass(frozen=True)
class Retrieved:
    """A document that was retrieved. `text` is None where it was erased since."""

    client_id: str
    text: str | None
    score: float


@dataclass(frozen=True)
class ShownAnswer:
    """One generation. `state` is one of `generation_selectors.STATES`; `pieces` are its output.

    `is_compared`: what differs from the baseline is marked, or there is nothing to mark and never will be. `chosen` is
    what a selector chose, None where none has.
    """

    generation: Generation
    state: str
    pieces: list[Piece]
    retrieved: list[Retrieved]
    is_compared: bool
    chosen: Chosen | None

    @property
    def retriever_title(self) -> str:
        """What people call its retriever."""
        return TITLES.get(self.generation.retriever, self.generation.retriever)

    @property
    def has_ended(self) -> bool:
        return self.generation.finished_at is not None

    @property
    def waits_long(self) -> bool:
        """Whether it has waited for so long that there may be nobody who answers."""
        return self.state == WAITING and timezone.now() - self.generation.created_at > _LONG

    @property
    def moves(self) -> bool:
        """Whether there will be more to show."""
        return not (self.has_ended and self.is_compared)

    @property
    def seen(self) -> str:
        """Changes as what is shown does."""
        return f"{self.state}-{int(self.is_compared)}{int(self.waits_long)}"


def shown_answers(
    *, workspace: Workspace, generations: Sequence[Generation], baseline: Generation | None
) -> list[ShownAnswer]:
    """These generations of one end user and one task, in their order.

    Where `baseline` has an output, what differs from it is marked in the others.
    """
    if not generations:
        return []
    told = told_of(workspace=workspace, generations=generations)
    texts = _texts(workspace, generations)
    return [
        ShownAnswer(
            generation=one,
            state=told[one.pk].state(one),
            pieces=_pieces(one, baseline),
            retrieved=_retrieved(one, told[one.pk], texts),
            is_compared=baseline is None or baseline.pk == one.pk or baseline.finished_at is not None,
            chosen=told[one.pk].chosen,
        )
        for one in generations
    ]


def has_usable_adapter(*, workspace: Workspace, generation: Generation) -> bool:
    """Whether the generation's user has an adapter by now that could answer the same question."""
    usable = not_passed_over(
        adapters_of(
            workspace=workspace, external_id=generation.end_user.external_id, task=generation.task, withdrawn=False
        )
    )
    return usable.filter(task_version=generation.task_version, base_model=generation.base_model_id).exists()


def _pieces(generation: Generation, baseline: Generation | None) -> list[Piece]:
    output = generation.output or ""
    if baseline is None or baseline.pk == generation.pk or baseline.output is None:
        return [Piece(output, False)]
    return differences(output, against=baseline.output)


def _texts(workspace: Workspace, generations: Sequence[Generation]) -> dict[int, str]:
    """What a retriever reads of each retrieved document, by its id."""
    ids = {document_id for one in generations for document_id in one.retrieved_document_ids or []}
    if not ids:
        return {}
    first = generations[0]
    try:
        task = task_version_of(workspace=workspace, key=first.task, version=first.task_version)
    except UnknownTask:
        task = None
    documents = documents_of(workspace=workspace, end_user=first.end_user, task=first.task).filter(pk__in=ids)
    return {one.pk: _text(task, one.fields) for one in documents}


def _text(task: Task | None, fields: Mapping[str, Any]) -> str:
    if task is not None:
        try:
            return document_text(task, fields)
        except (MissingField, TypeError):
            # An imported document may be of another form.
            pass
    return " ".join(str(value) for value in fields.values())


def _retrieved(generation: Generation, told: Told, texts: Mapping[int, str]) -> list[Retrieved]:
    pairs = zip(generation.retrieved_document_ids or [], generation.retrieved_scores or [], strict=False)
    return [
        Retrieved(told.documents.get(document_id, ""), texts.get(document_id), score) for document_id, score in pairs
    ]
