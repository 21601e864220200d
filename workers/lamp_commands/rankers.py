"""Ordering the profile of one question read from a file, by each of the retrievers."""

from collections.abc import Callable, Sequence
from pathlib import Path

from django.core.management.base import CommandError

from lamp.problems import LampProblem
from lamp.queries import document_text, query_of
from lamp.reading import Question
from lamp.tasks import Task
from retrieval_app.bm25 import BM25Index
from retrieval_app.dense import dense_order
from retrieval_app.ranking import order_by_score
from retrieval_app.recency import NoDates, recency_order
from workers.lamp_commands.arguments import SMALL
from workers.quietness import quieten_transformers

RETRIEVERS = ("bm25", "recency", "contriever")

Ranker = Callable[[Task, Question], list[int]]
"""The positions of all documents of a question's profile, best first."""


def make_ranker(retriever: str, *, encoder: str, questions: Path) -> Ranker:
    """The ranker of this name; `encoder` matters to contriever alone, `questions` is the file that problems name."""
    if retriever == "bm25":
        return by_bm25
    if retriever == "recency":
        return recency_of(questions)
    return by_encoder(encoder)


def by_bm25(task: Task, question: Question) -> list[int]:
    """By BM25 over this profile alone."""
    return order_by_score(BM25Index(_texts(task, question)).scores(query_of(task, question.input)))


def recency_of(questions: Path) -> Ranker:
    """By date, newest first; raises `LampProblem` for a profile without dates."""

    def by_date(_: Task, question: Question) -> list[int]:
        try:
            return recency_order([entry.fields.get("date") for entry in question.profile])
        except NoDates as error:
            raise LampProblem(
                file=questions.name,
                question_id=question.id,
                field="date",
                message=str(error),
                remedy="Use another retriever, or the time-based separation",
            ) from error

    return by_date


def by_encoder(name: str) -> Ranker:
    """By the dot product of an encoder's vectors."""
    from workers.engine.encoder import encode, load_encoder
    from workers.engine.sources import ModelRefused, ModelUnavailable

    if name == SMALL:
        from workers.small_models import SMALL_ENCODER

        name = str(SMALL_ENCODER)
    quieten_transformers()
    try:
        encoder = load_encoder(name)
    except (ModelRefused, ModelUnavailable) as error:
        raise CommandError(f"--encoder: {error}", returncode=2) from error

    def by_vectors(task: Task, question: Question) -> list[int]:
        if not question.profile:
            return []
        texts = _texts(task, question)
        # Equal texts are encoded once, so that repeated documents tie to the bit.
        rows = {text: row for row, text in enumerate(dict.fromkeys(texts), start=1)}
        vectors = encode(encoder, [query_of(task, question.input), *rows])
        return dense_order(vectors[0], vectors[[rows[text] for text in texts]])

    return by_vectors


def _texts(task: Task, question: Question) -> Sequence[str]:
    return [document_text(task, entry.fields) for entry in question.profile]
