"""Writes the synthetic benchmark as LaMP files: `LaMP_1/dev_questions.json`, `LaMP_1/dev_outputs.json`, and so on.

The form is LaMP's time-based one (LaMP reference §2). Users are made and written one after the other; of the earlier
ones only answers stay in memory. Unlike LaMP's, the test split comes with its outputs. Beside them stands the truth,
`LaMP_1/truth.json`: each user's traits, and the answers and scores of an oracle that knows them.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from lamp.catalogue import get_task
from lamp.metrics import evaluate
from lamp.synthetic.population import RECIPES, SPLITS, Asked, Person, Written, people

# The small models in this repository are trained on users of these seeds, so no benchmark may hold them.
TRAINING_SEEDS = range(1_000_000_000, 2_000_000_000)

DEFAULT_STRENGTH = 0.9
DEFAULT_DRIFT = 0.2
DEFAULT_MANNERS = 0.0


def generate(
    out_dir: Path,
    *,
    users: int,
    seed: int,
    tasks: Iterable[str] | None = None,
    strength: float = DEFAULT_STRENGTH,
    drift: float = DEFAULT_DRIFT,
    manners: float = DEFAULT_MANNERS,
) -> dict[str, dict[str, int]]:
    """Write the benchmark of `users` users a task (all seven unless `tasks` names some); the same arguments write the
    same bytes.

    Returns the number of questions by task and split. Raises `ValueError` for a seed of the small models' training
    users, fewer than one user, an unknown task, or a strength, drift or manners outside 0 to 1.
    """
    if seed in TRAINING_SEEDS:
        raise ValueError(
            f"the seed {seed} is kept for the small models' training users; choose one below {TRAINING_SEEDS.start}"
        )
    if users < 1:
        raise ValueError(f"at least one user is needed, not {users}")
    chosen = tuple(RECIPES if tasks is None else tasks)
    unknown = [task_key for task_key in chosen if task_key not in RECIPES]
    if unknown:
        raise ValueError(f"no synthetic users for {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    return {
        task_key: _write_task(
            out_dir,
            task_key=task_key,
            persons=people(
                task_key, users=range(1, users + 1), seed=seed, strength=strength, drift=drift, manners=manners
            ),
            made_with={"seed": seed, "strength": strength, "drift": drift} | ({"manners": manners} if manners else {}),
        )
        for task_key in chosen
    }


def question_item(task_key: str, person: Person, asked: Asked) -> dict[str, Any]:
    """A question as LaMP's questions files hold it, with the profile as of the question.

    The profile stands in an order that says nothing of time; where dates are years alone it stands in order of time,
    since ties go to the later document.
    """
    profile = list(person.documents[: asked.profile_size])
    years_only = RECIPES[task_key].years_only
    if not years_only:
        random.Random(f"{task_key}/{asked.question_id}").shuffle(profile)  # noqa: S311
    return {
        "id": asked.question_id,
        "input": asked.input,
        "profile": [_entry(written, years_only=years_only) for written in profile],
        "user_id": person.user_id,
    }


def _entry(written: Written, *, years_only: bool) -> Mapping[str, str]:
    date = str(written.day.year) if years_only else written.day.isoformat()
    return {"id": written.entry_id, **written.fields, "date": date}


def _write_task(
    out_dir: Path, *, task_key: str, persons: Iterable[Person], made_with: Mapping[str, Any]
) -> dict[str, int]:
    task = get_task(task_key)
    name = task.file_key
    folder = out_dir / name
    folder.mkdir(parents=True, exist_ok=True)
    golds: dict[str, dict[str, str]] = {split: {} for split in SPLITS}
    oracle: dict[str, dict[str, str]] = {split: {} for split in SPLITS}
    with ExitStack() as stack:
        questions = {split: stack.enter_context(_JsonList(folder / f"{split}_questions.json")) for split in SPLITS}
        outputs = {
            split: stack.enter_context(
                _JsonList(
                    folder / f"{split}_outputs.json", before=f'{{"task": {json.dumps(name)}, "golds": ', after="}"
                )
            )
            for split in SPLITS
        }
        head = json.dumps({"task": name, **made_with}).removesuffix("}")
        truth = stack.enter_context(_JsonList(folder / "truth.json", before=f'{head}, "users": ', after="}"))
        for person in persons:
            truth.add(_traits(person))
            for asked in person.questions:
                questions[asked.split].add(question_item(task_key, person, asked))
                outputs[asked.split].add({"id": asked.question_id, "output": asked.output})
                golds[asked.split][asked.question_id] = asked.output
                oracle[asked.split][asked.question_id] = asked.oracle
        answered = {
            split: {
                "scores": evaluate(task, answers, golds[split]),
                "answers": [{"id": question_id, "output": output} for question_id, output in answers.items()],
            }
            for split, answers in oracle.items()
            if answers
        }
        truth.after = f', "oracle": {json.dumps(answered, ensure_ascii=False)}}}'
    return {split: len(answers) for split, answers in golds.items()}


def _traits(person: Person) -> Mapping[str, Any]:
    """What makes the user their own: traits before and from the day of the change, or those of each of their voices."""
    character = person.character
    if character.voices:
        return {"user_id": person.user_id, "voices": character.voices}
    return {
        "user_id": person.user_id,
        "early": character.early,
        "late": character.late,
        "change": person.change.isoformat(),
    }


class _JsonList:
    """A JSON list that is written item by item, between `before` and `after`, and takes its name when it is whole."""

    def __init__(self, path: Path, *, before: str = "", after: str = "") -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._before = before
        self.after = after
        self._empty = True
        self._file: TextIO

    def __enter__(self) -> _JsonList:
        self._file = self._part.open("w", encoding="utf-8", newline="\n")
        self._file.write(self._before + "[")
        return self

    def add(self, item: Mapping[str, Any]) -> None:
        self._file.write(("\n" if self._empty else ",\n") + json.dumps(item, ensure_ascii=False))
        self._empty = False

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._file.write("\n]" + self.after + "\n")
        self._file.close()
        if kind is None:
            os.replace(self._part, self._path)
        else:
            self._part.unlink()
