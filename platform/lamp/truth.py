"""The truth of a generated benchmark: what one who knows each user's traits would answer to each question.

One file a task, beside its questions: `{"task": "LaMP_2", "oracle": {"dev": {"answers": [{"id", "output"}]}}}`, a split
a key. What else the generator writes there (its settings, the users' traits, the oracle's scores) is for people to
read and passed over here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from lamp.bounds import TRUTH
from lamp.golds import Gold, read_answers
from lamp.json_rows import JsonEvents
from lamp.problems import LampProblem, shown_ids
from lamp.recognition import names_task
from lamp.tasks import Task


def read_oracle(path: str | os.PathLike[str], *, task: Task, split: str, name: str | None = None) -> Iterator[Gold]:
    """Stream what the oracle answers to the questions of `split`, each answer one that the task can have.

    Raises `LampProblem` at once for a file that cannot be read, has another form, is another task's or does not know
    the split, and at the answer that is wrong. `name` is what messages call the file.
    """
    name = name or os.path.basename(path)
    field = f"oracle.{split}.answers"
    _check_form(path, name, task=task, field=field)
    return read_answers(path, bounds=TRUTH, prefix=f"{field}.item", name=name, task=task)


def oracle_of_unknown_questions(file: str, count: int, ids: Sequence[str]) -> LampProblem:
    """The problem of `count` answers of the oracle, some of whose `ids` are shown, that belong to no question."""
    answers = "answer is" if count == 1 else "answers are"
    return LampProblem(
        file=file,
        field="id",
        message=f"{count} {answers} for unknown questions: {shown_ids(ids, count)}",
        remedy="Give the truth that was written with these questions",
    )


def questions_without_oracle(file: str, count: int, ids: Sequence[str]) -> LampProblem:
    """The problem of `count` questions, some of whose `ids` are shown, that the oracle leaves out."""
    questions = "question has" if count == 1 else "questions have"
    return LampProblem(
        file=file,
        field="id",
        message=f"{count} {questions} no answer of the oracle: {shown_ids(ids, count)}",
        remedy="Give the truth of all questions, or none at all",
    )


def _check_form(path: str | os.PathLike[str], name: str, *, task: Task, field: str) -> None:
    task_key: object = None
    answers: str | None = None
    with JsonEvents(path, bounds=TRUTH, name=name) as events:
        for prefix, event, value in events:
            if prefix == "task":
                task_key = value
            elif prefix == field and answers is None:
                answers = event
    if not isinstance(task_key, str):
        message = "is missing" if task_key is None else "is not a text"
        raise LampProblem(file=name, field="task", message=message, remedy=f'Write it as "{task.file_key}"')
    if not names_task(task_key, task):
        raise LampProblem(
            file=name,
            field="task",
            message=f"names another task than {task.key}",
            remedy=f'Give the truth of {task.key}, whose "task" is "{task.file_key}"',
        )
    if answers != "start_array":
        message = "is missing" if answers is None else "is not a list"
        raise LampProblem(
            file=name, field=field, message=message, remedy='Give the split\'s answers as [{"id", "output"}]'
        )
