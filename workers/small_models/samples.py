"""What the small models are trained on: synthetic users of their own, whose seeds no benchmark may use."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice

from lamp.catalogue import get_task
from lamp.pairs import pair_of
from lamp.queries import document_text, query_of
from lamp.synthetic.benchmark import TRAINING_SEEDS
from lamp.synthetic.population import RECIPES, Asked, Person, people
from retrieval_app.bm25 import BM25Index
from retrieval_app.prompts import Tokenizer, build_prompt
from retrieval_app.ranking import order_by_score

TASKS = tuple(RECIPES)
# Where a document's training pair has another form than the questions: how many users also give such a pair.
OTHER_FORM = {"LaMP-1": 0.15, "LaMP-7": 0.5}


def training_people(task_key: str, *, seed: int, first: int = 1) -> Iterator[Person]:
    """Endless users of one task, from number `first`; how much traits decide, and whether they move, differs from
    user to user.
    """
    for number in count(first):
        rng = random.Random(f"training/{seed}/{task_key}/{number}")  # noqa: S311 - text, not secrets
        yield from people(
            task_key,
            users=[number],
            seed=TRAINING_SEEDS.start + seed,
            strength=rng.choice((0.8, 0.9, 1.0)),
            drift=rng.choice((0.0, 0.0, 0.3)),
        )


def texts(*, seed: int, users: int) -> Iterator[str]:
    """Texts for the tokenizers: what `users` users a task wrote, were asked and would answer, in the prompts' words."""
    for task_key in TASKS:
        task = get_task(task_key)
        for person in islice(training_people(task_key, seed=seed), users):
            for written in person.documents:
                yield task.entry.template.fill(written.fields)
            for asked in person.questions:
                yield asked.input
                yield asked.output


def documents(*, seed: int, users: int) -> Iterator[str]:
    """Documents as a retriever reads them, for the encoder."""
    for task_key in TASKS:
        for person in islice(training_people(task_key, seed=seed), users):
            for written in person.documents:
                yield document_text(get_task(task_key), written.fields)


def training_samples(
    task_key: str, person: Person, *, rng: random.Random, tokenizer: Tokenizer, entries: int
) -> Iterator[tuple[str, str]]:
    """(prompt, answer) of a user's questions, with and without `entries` documents of the profile in the prompt.

    Pairs of the form that only adapters are trained on (`OTHER_FORM`) are mixed in, so that the model knows it and an
    adapter need not learn it.
    """
    task = get_task(task_key)
    for asked in person.questions:
        yield asked.input, asked.output
        yield prompt_with_profile(rng, task_key, person, asked, tokenizer=tokenizer, entries=entries), asked.output
    if rng.random() < OTHER_FORM.get(task_key, 0.0):
        yield pair_of(task, rng.choice(person.documents).fields)


def prompt_with_profile(
    rng: random.Random, task_key: str, person: Person, asked: Asked, *, tokenizer: Tokenizer, entries: int
) -> str:
    """The question's prompt with documents that one of some retrievers chose: mostly BM25, else the newest or any."""
    task = get_task(task_key)
    profile = [written.fields for written in person.documents[: asked.profile_size]]
    draw = rng.random()
    if draw < 0.6:
        chosen = _by_bm25(task_key, asked.input, profile)
    elif draw < 0.85:
        chosen = list(reversed(range(len(profile))))
    else:
        chosen = rng.sample(range(len(profile)), len(profile))
    return build_prompt(task, asked.input, [profile[position] for position in chosen[:entries]], tokenizer=tokenizer)


def _by_bm25(task_key: str, asked: str, profile: Sequence[Mapping[str, str]]) -> list[int]:
    task = get_task(task_key)
    index = BM25Index([document_text(task, fields) for fields in profile])
    return order_by_score(index.scores(query_of(task, asked)))
