"""What the model cards say of the models: measured on the dev questions of a synthetic benchmark that neither was
trained on.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lamp.catalogue import get_task
from lamp.metrics import evaluate
from lamp.pairs import pair_of
from lamp.queries import document_text, query_of
from lamp.synthetic.benchmark import DEFAULT_DRIFT, DEFAULT_STRENGTH
from lamp.synthetic.population import DEV, Asked, Person, people
from lamp.tasks import Kind, Task
from retrieval_app.bm25 import BM25Index
from retrieval_app.prompts import build_prompt
from retrieval_app.ranking import order_by_score
from workers.engine.adapters import AdapterWeights
from workers.engine.base_model import BaseModel, load_base_model
from workers.engine.encoder import Encoder, encode, load_encoder
from workers.engine.generation import GenerationRow, generate
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.training import TrainingRequest, train_adapters
from workers.small_models.samples import TASKS

MEASURED_SEED = 2026
ENTRIES = 4
CROWD = 200
ROWS = 32
WAYS = ("none", "rag:bm25", "rag:bm25 stranger", "peft:8", "peft:8 stranger")
# As the demonstration trains them.
ADAPTERS = Hyperparameters(rank=8, epochs=6, learning_rate=3e-3)

Scores = Mapping[str, float]


def measure_t5(folder: Path, *, users: int) -> dict[str, dict[str, Scores]]:
    """By task: the metrics of each way to answer (`WAYS`).

    Beside the metrics stands "in form": the share of answers that have the form of the task.
    """
    base = load_base_model(str(folder))
    return {task_key: _measure_task(base, task_key, users=users) for task_key in TASKS}


def _measure_task(base: BaseModel, task_key: str, *, users: int) -> dict[str, Scores]:
    task = get_task(task_key)
    crowd = list(_crowd(task_key, users))
    asked = [(at, one) for at, person in enumerate(crowd) for one in person.questions if one.split == DEV]
    adapters = _adapters(base, task, crowd)

    def stranger(at: int) -> int:
        return (at + 1) % users

    def prompt(whose: int, question: Asked) -> str:
        # Of a stranger's documents too, only as many as the question's own user had.
        return _prompt(task, question, [one.fields for one in crowd[whose].documents[: question.profile_size]], base)

    rows = {
        "none": [GenerationRow(question.input) for _, question in asked],
        "rag:bm25": [GenerationRow(prompt(at, question)) for at, question in asked],
        "rag:bm25 stranger": [GenerationRow(prompt(stranger(at), question)) for at, question in asked],
        "peft:8": [GenerationRow(question.input, adapter=adapters[at]) for at, question in asked],
        "peft:8 stranger": [GenerationRow(question.input, adapter=adapters[stranger(at)]) for at, question in asked],
    }
    golds = {question.question_id: question.output for _, question in asked}
    measured: dict[str, Scores] = {}
    for way in WAYS:
        # Some at a time, so that no more adapters lie side by side than need be.
        passes = [rows[way][start : start + ROWS] for start in range(0, len(asked), ROWS)]
        texts = [answer.text for some in passes for answer in generate(base, some, max_output_tokens=48)]
        measured[way] = {
            **evaluate(task, dict(zip(golds, texts, strict=True)), golds),
            "in form": sum(has_form(task, text) for text in texts) / len(texts),
        }
    return measured


def _adapters(base: BaseModel, task: Task, crowd: Sequence[Person]) -> list[AdapterWeights]:
    """Each person's adapter, trained on what they had written by their first dev question."""
    requests = []
    for person in crowd:
        size = next(question.profile_size for question in person.questions if question.split == DEV)
        pairs = [pair_of(task, written.fields) for written in person.documents[:size]]
        requests.append(TrainingRequest(pairs, ADAPTERS, seed=person.user_id))
    return [trained.as_weights() for trained in train_adapters(base, requests)]


def has_form(task: Task, answer: str) -> bool:
    """Whether an answer is one of the labels, or for a text, some words and no prompt."""
    if task.labels:
        return answer.strip() in task.labels
    return task.kind is Kind.GENERATION and 2 <= len(answer.split()) <= 40


def _prompt(task: Task, question: Asked, profile: list[Mapping[str, str]], base: BaseModel) -> str:
    scores = BM25Index([document_text(task, fields) for fields in profile]).scores(query_of(task, question.input))
    best = [profile[position] for position in order_by_score(scores)[:ENTRIES]]
    return build_prompt(task, question.input, best, tokenizer=base.tokenizer)


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
