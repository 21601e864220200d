"""What the model cards say of the models: measured on the dev questions of a synthetic benchmark that neither was
trained on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamp.catalogue import get_task
from lamp.metrics import evaluate
from lamp.queries import document_text, query_of
from lamp.synthetic.benchmark import DEFAULT_DRIFT, DEFAULT_STRENGTH
from lamp.synthetic.population import DEV, Asked, Person, people
from lamp.tasks import Kind, Task
from retrieval_app.bm25 import BM25Index
from retrieval_app.prompts import build_prompt
from retrieval_app.ranking import order_by_score
from workers.engine.base_model import BaseModel, load_base_model
from workers.engine.encoder import Encoder, encode, load_encoder
from workers.engine.generation import GenerationRow, generate
from workers.small_models.samples import TASKS

MEASURED_SEED = 2026
ENTRIES = 4
CROWD = 200

Scores = Mapping[str, float]


def measure_t5(folder: Path, *, users: int) -> dict[str, dict[str, Scores]]:
    """By task: the metrics without a profile ("none"), with four documents by BM25 ("rag:bm25"), and with another
    user's ("stranger").

    Beside the metrics stands "in form": the share of answers that have the form of the task.
    """
    base = load_base_model(str(folder))
    return {task_key: _measure_task(base, task_key, users=users) for task_key in TASKS}


def _measure_task(base: BaseModel, task_key: str, *, users: int) -> dict[str, Scores]:
    task = get_task(task_key)
    crowd = list(_crowd(task_key, users))
    asked = [
        (person, stranger, question)
        for person, stranger in zip(crowd, crowd[1:] + crowd[:1], strict=True)
        for question in person.questions
        if question.split == DEV
    ]
    prompts: dict[str, Callable[[Person, Person, Asked], str]] = {
        "none": lambda person, stranger, question: question.input,
        "rag:bm25": lambda person, stranger, question: _prompt(
            task, question, [written.fields for written in person.documents[: question.profile_size]], base.tokenizer
        ),
        "stranger": lambda person, stranger, question: _prompt(
            task, question, [written.fields for written in stranger.documents], base.tokenizer
        ),
    }
    golds = {question.question_id: question.output for _, _, question in asked}
    measured: dict[str, Scores] = {}
    for method, prompt in prompts.items():
        rows = [GenerationRow(prompt=prompt(*each)) for each in asked]
        texts = [generated.text for generated in generate(base, rows, max_output_tokens=48)]
        answers = dict(zip(golds, texts, strict=True))
        measured[method] = {
            **evaluate(task, answers, golds),
            "in form": sum(has_form(task, text) for text in texts) / len(texts),
        }
    return measured


def has_form(task: Task, answer: str) -> bool:
    """Whether an answer is one of the labels, or for a text, some words and no prompt."""
    if task.labels:
        return answer.strip() in task.labels
    return task.kind is Kind.GENERATION and 2 <= len(answer.split()) <= 40


def _prompt(task: Task, question: Asked, profile: list[Mapping[str, str]], tokenizer: Any) -> str:
    scores = BM25Index([document_text(task, fields) for fields in profile]).scores(query_of(task, question.input))
    best = [profile[position] for position in order_by_score(scores)[:ENTRIES]]
    return build_prompt(task, question.input, best, tokenizer=tokenizer)


def measure_encoder(folder: Path, *, users: int) -> Scores:
    """How often one half of a document's words finds the other half among 200 documents of all tasks; BM25 beside it.

    The words are dealt at random to the halves, so the halves of most documents share few words and more of their
    subject.
    """
    rng = random.Random(MEASURED_SEED)  # noqa: S311 - text, not secrets
    texts = [
        document_text(get_task(task_key), written.fields)
        for task_key in TASKS
        for person in _crowd(task_key, users)
        for written in person.documents
    ]
    halves = [_halves(rng, text) for text in rng.sample(texts, min(CROWD, len(texts)))]
    queries, keys = [one for one, _ in halves], [other for _, other in halves]
    encoder = load_encoder(str(folder))
    return {
        "encoder": _found(_dense(encoder, queries, keys)),
        "BM25": _found(np.stack([BM25Index(keys).scores(query) for query in queries])),
    }


def _halves(rng: random.Random, text: str) -> tuple[str, str]:
    words = text.split()
    first = set(rng.sample(range(len(words)), len(words) // 2))
    return (
        " ".join(word for place, word in enumerate(words) if place in first),
        " ".join(word for place, word in enumerate(words) if place not in first),
    )


def _dense(encoder: Encoder, queries: list[str], keys: list[str]) -> np.ndarray[Any, Any]:
    scores: np.ndarray[Any, Any] = encode(encoder, queries) @ encode(encoder, keys).T
    return scores


def _found(scores: np.ndarray[Any, Any]) -> float:
    """Share of rows whose own column has the highest score."""
    return float(np.mean(scores.argmax(axis=1) == np.arange(len(scores))))


def _crowd(task_key: str, users: int) -> list[Person]:
    return list(
        people(task_key, users=range(1, users + 1), seed=MEASURED_SEED, strength=DEFAULT_STRENGTH, drift=DEFAULT_DRIFT)
    )
