"""What the small selectors learn from and are measured on: the small T5's answers with each member of a pool of
retrievers (LaMP reference §3).

Every question of some synthetic users is answered once for each member; prompt and output are kept. The pool holds two
members that differ: the newest documents, and those nearest to the question. With BM25 and no documents in it besides,
the oracle would be the best of four draws, of which two are much alike and one is hopeless: most of what there is to
gain would be luck (docs/synthetic.md has the numbers).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lamp.catalogue import get_task
from lamp.queries import document_text, query_of
from lamp.selector_texts import SelectorText
from lamp.synthetic.benchmark import TRAINING_SEEDS
from lamp.synthetic.population import DEV, RECIPES, Asked, Person, people
from lamp.utility import utility
from retrieval_app.bm25 import BM25Index
from retrieval_app.dense import dense_scores
from retrieval_app.prompts import build_prompt
from retrieval_app.ranking import order_by_score
from retrieval_app.recency import recency_scores
from retrieval_app.selection import selector_text
from workers.engine.base_model import BaseModel
from workers.engine.encoder import Encoder, encode
from workers.engine.generation import GenerationRow, generate
from workers.engine.selector_training import SelectorSample
from workers.small_models.recipe import Recipe, Setting
from workers.small_models.samples import TASKS

NONE, BM25, RECENCY, CONTRIEVER = MEMBERS = ("none", "bm25", "recency", "contriever")
POOL = (RECENCY, CONTRIEVER)
"""What the small selectors choose among."""
DOCUMENTS = 4
MAX_OUTPUT_TOKENS = 48
ROWS = 32


@dataclass(frozen=True)
class PoolAnswers:
    """A question with the prompt that each of some members makes and the output it gave, in the members' order."""

    task_key: str
    user_id: int
    question_id: str
    gold: str
    members: tuple[str, ...]
    prompts: tuple[str, ...]
    outputs: tuple[str, ...]

    def sample(self, *, reads: str) -> SelectorSample:
        """What a selector of the `POOL` that reads "pre" or "post" learns from, or chooses among."""
        task = get_task(self.task_key)
        utilities = tuple(utility(task, output=output, gold=self.gold) for _, output in self._candidates())
        return SelectorSample(self.texts(reads=reads), utilities)

    def texts(self, *, reads: str) -> tuple[SelectorText, ...]:
        """What a selector of the `POOL` reads of each candidate."""
        return tuple(selector_text(reads=reads, prompt=prompt, output=output) for prompt, output in self._candidates())

    def _candidates(self) -> list[tuple[str, str]]:
        """Prompt and output of each member of the `POOL`."""
        places = [self.members.index(member) for member in POOL]
        return [(self.prompts[place], self.outputs[place]) for place in places]


def pool_answers(
    base: BaseModel,
    encoder: Encoder,
    task_key: str,
    persons: Iterable[Person],
    *,
    members: tuple[str, ...] = POOL,
    splits: Sequence[str] | None = None,
) -> list[PoolAnswers]:
    """The answers that some members give to the persons' questions of some splits (all where not given)."""
    asked = [
        (person, question, prompts)
        for person in persons
        for question, prompts in _prompts(base, encoder, task_key, person, members=members)
        if splits is None or question.split in splits
    ]
    places = sorted(
        ((row, member) for row in range(len(asked)) for member in range(len(members))),
        key=lambda place: (len(asked[place[0]][2][place[1]]), place),
    )
    outputs: dict[tuple[int, int], str] = {}
    for start in range(0, len(places), ROWS):
        some = places[start : start + ROWS]
        rows = [GenerationRow(asked[row][2][member]) for row, member in some]
        answers = generate(base, rows, max_output_tokens=MAX_OUTPUT_TOKENS)
        outputs |= {place: answer.text for place, answer in zip(some, answers, strict=True)}
    return [
        PoolAnswers(
            task_key=task_key,
            user_id=person.user_id,
            question_id=question.question_id,
            gold=question.output,
            members=members,
            prompts=prompts,
            outputs=tuple(outputs[row, member] for member in range(len(members))),
        )
        for row, (person, question, prompts) in enumerate(asked)
    ]


def _prompts(
    base: BaseModel, encoder: Encoder, task_key: str, person: Person, *, members: tuple[str, ...]
) -> Iterator[tuple[Asked, tuple[str, ...]]]:
    task = get_task(task_key)
    texts = [document_text(task, written.fields) for written in person.documents]
    vectors = encode(encoder, texts, exact=False)
    years_only = RECIPES[task_key].years_only
    dates = [str(one.day.year) if years_only else one.day.isoformat() for one in person.documents]
    for question in person.questions:
        size = question.profile_size
        query = query_of(task, question.input)
        scores: Mapping[str, np.ndarray] = {
            BM25: BM25Index(texts[:size]).scores(query),
            RECENCY: recency_scores(dates[:size]),
            CONTRIEVER: dense_scores(encode(encoder, [query])[0], vectors[:size]),
        }
        chosen = {
            member: [person.documents[place].fields for place in order_by_score(scores[member])[:DOCUMENTS]]
            for member in members
            if member in scores
        }
        yield (
            question,
            tuple(
                build_prompt(task, question.input, chosen[member], tokenizer=base.tokenizer)
                if member in chosen
                else question.input
                for member in members
            ),
        )


def gather(
    recipe: Recipe,
    base: BaseModel,
    encoder: Encoder,
    *,
    folder: Path,
    made_with: str,
    on_part: Callable[[str, int], None] = lambda part, questions: None,
) -> tuple[list[PoolAnswers], list[PoolAnswers], str]:
    """The recipe's feedback to train on and to pick the best step by, and the sha256 of both.

    A part (task and setting) is a file in `folder` once it has been made, so that a recipe that was stopped goes on;
    `made_with` names the models, and a file belongs to them and to the recipe's users. `on_part` hears each part's
    name and its number of questions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    identity = hashlib.sha256(f"{recipe.selector_people}/{made_with}".encode()).hexdigest()[:16]
    groups: dict[bool, list[PoolAnswers]] = {False: [], True: []}
    content = hashlib.sha256()
    first = 1
    for crowd in recipe.selector_crowds:
        users = range(first, first := first + crowd.users)
        name = hashlib.sha256(f"{crowd.setting!r}/{users}".encode()).hexdigest()[:16]
        for task_key in TASKS:
            path = folder / f"{identity}-{task_key}-{name}.jsonl"
            if not path.exists():
                persons = crowd_of(
                    task_key, crowd.setting, users=users, seed=TRAINING_SEEDS.start + recipe.selector_people
                )
                _write(path, pool_answers(base, encoder, task_key, persons))
            data = path.read_bytes()
            content.update(data)
            answers = [_read(line) for line in data.decode("utf-8").splitlines()]
            on_part(f"{task_key}, {crowd.setting}", len(answers))
            for answer in answers:
                groups[answer.user_id % recipe.selector_picked_every == 0].append(answer)
    return groups[False], groups[True], content.hexdigest()


def crowd_of(task_key: str, setting: Setting, *, users: Iterable[int], seed: int) -> Iterator[Person]:
    """The users of these numbers as `setting` has them."""
    return people(
        task_key,
        users=users,
        seed=seed,
        strength=setting.strength,
        drift=setting.drift,
        manners=setting.manners,
    )


def _write(path: Path, answers: Sequence[PoolAnswers]) -> None:
    part = path.with_suffix(".part")
    lines = [json.dumps(asdict(answer), ensure_ascii=False, sort_keys=True) + "\n" for answer in answers]
    part.write_text("".join(lines), encoding="utf-8", newline="\n")
    os.replace(part, path)


def _read(line: str) -> PoolAnswers:
    values = json.loads(line)
    lists = {name: tuple(values[name]) for name in ("members", "prompts", "outputs")}
    return PoolAnswers(**{**values, **lists})


def benchmark_answers(
    base: BaseModel, encoder: Encoder, task_key: str, *, users: int, seed: int, setting: Setting
) -> list[PoolAnswers]:
    """All members' answers to the dev questions of `manage.py lamp synthesize` with the same arguments."""
    if seed in TRAINING_SEEDS:
        raise ValueError("the benchmark may not hold users of a training seed")
    persons = crowd_of(task_key, setting, users=range(1, users + 1), seed=seed)
    return pool_answers(base, encoder, task_key, persons, members=MEMBERS, splits=(DEV,))
