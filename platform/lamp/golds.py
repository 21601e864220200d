"""Golds and predictions, which have one form: {"task", "golds": [{"id", "output"}]} (LaMP reference §2)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lamp.bounds import GOLDS, Bounds
from lamp.json_rows import JsonEvents, JsonRows
from lamp.problems import LampProblem, OnProblem, shown_ids
from lamp.recognition import names_task
from lamp.row_ids import SeenIds, id_as_text
from lamp.tasks import Kind, Task


class Gold(NamedTuple):
    """One answer: a gold or a prediction. A number in the file stands here as text."""

    id: str
    output: str
    id_is_integer: bool = False


@dataclass(frozen=True)
class Golds:
    """The file's own name of its task ("LaMP_4"), and its answers as a stream that can be read once."""

    task_key: str | None
    items: Iterator[Gold]

    def as_dict(self) -> dict[str, str]:
        """All answers by id, in memory."""
        return {gold.id: gold.output for gold in self.items}


def read_golds(
    path: str | os.PathLike[str],
    *,
    task: Task | None = None,
    name: str | None = None,
    on_problem: OnProblem | None = None,
) -> Golds:
    """Stream the answers of an outputs file; with `task`, each must be one that the task can have.

    Raises `LampProblem` at once for a file that cannot be read, has another form or names another task, and at the
    answer that is wrong; with `on_problem` that is told of such an answer, and the reading goes on to the next. `name`
    is what messages call the file.
    """
    name = name or os.path.basename(path)
    task_key = _header(path, name)
    if task is not None and task_key is not None and not names_task(task_key, task):
        raise LampProblem(
            file=name,
            field="task",
            message=f"names another task than {task.key}",
            remedy=f'Give the outputs of {task.key}, whose "task" is "{task.file_key}"',
        )
    items = read_answers(path, bounds=GOLDS, prefix="golds.item", name=name, task=task, on_problem=on_problem)
    return Golds(task_key, items)


def read_answers(
    path: str | os.PathLike[str],
    *,
    bounds: Bounds,
    prefix: str,
    name: str,
    task: Task | None,
    on_problem: OnProblem | None = None,
) -> Iterator[Gold]:
    """Stream the answers that stand under `prefix` ("golds.item"), each id once; with `task`, as it can have them.

    Raises `LampProblem` at the answer that is wrong, or tells `on_problem` of it.
    """
    seen = SeenIds(name)
    with JsonRows(path, bounds=bounds, prefix=prefix, name=name) as rows:
        for row in rows:
            try:
                gold = _answer(row, name, rows.row)
                seen.add(gold.id)
                _require_gold_of(task, gold, name)
            except LampProblem as problem:
                if on_problem is None:
                    raise
                problem.row = rows.row
                on_problem(problem)
                continue
            yield gold


def _require_gold_of(task: Task | None, gold: Gold, name: str) -> None:
    wrong = None if task is None else check_gold(task, gold.output)
    if wrong is not None:
        remedy = "Correct it, or name the task that these outputs belong to"
        raise LampProblem(file=name, question_id=gold.id, field="output", message=wrong, remedy=remedy)


def read_predictions(path: str | os.PathLike[str], *, name: str | None = None) -> Golds:
    """Stream predictions, which have the outputs' form; what they say is free."""
    return read_golds(path, name=name)


def check_gold(task: Task, output: str) -> str | None:
    """What keeps `output` from being a gold of `task`; None where nothing does. The text may have blanks around it."""
    if task.kind is Kind.CLASSIFICATION and task.labels is not None and output.strip() not in task.labels:
        return f"is none of the {len(task.labels)} labels of {task.key}"
    if task.rating is not None and not task.rates(output):
        return f"is no number from {task.rating.lowest} to {task.rating.highest}"
    return None


def golds_for_unknown_questions(file: str, count: int, ids: Sequence[str]) -> LampProblem:
    """The problem of `count` golds, some of whose `ids` are shown, that belong to no question."""
    return LampProblem(
        file=file,
        field="id",
        message=f"{count} {'gold is' if count == 1 else 'golds are'} for unknown questions: {shown_ids(ids, count)}",
        remedy="Give the outputs that belong to these questions",
    )


def questions_without_gold(file: str, count: int, ids: Sequence[str]) -> LampProblem:
    """The problem of `count` questions, some of whose `ids` are shown, that the outputs leave out."""
    return LampProblem(
        file=file,
        field="id",
        message=f"{count} {'question has' if count == 1 else 'questions have'} no gold: {shown_ids(ids, count)}",
        remedy="Give the outputs of all questions, or none at all",
    )


def _answer(row: Any, name: str, number: int) -> Gold:
    if not isinstance(row, dict):
        raise LampProblem(
            file=name, row=number, message="is not an object", remedy='Give every answer as {"id", "output"}'
        )
    row_id, is_integer = id_as_text(row, "id", file=name, row=number)
    output = row.get("output")
    if isinstance(output, int | float) and not isinstance(output, bool):
        output = str(output)
    if not isinstance(output, str):
        message = "is not a text" if "output" in row else "is missing"
        raise LampProblem(
            file=name, question_id=row_id, field="output", message=message, remedy="Write the answer as a string"
        )
    return Gold(row_id, output, is_integer)


def _header(path: str | os.PathLike[str], name: str) -> str | None:
    """The file's "task", wherever it stands; raises `LampProblem` where "golds" is no list."""
    task_key: Any = None
    golds: str | None = None
    with JsonEvents(path, bounds=GOLDS, name=name) as events:
        for prefix, event, value in events:
            if prefix == "task":
                task_key = value
            elif prefix == "golds" and golds is None:
                golds = event
    if golds != "start_array":
        message = "is missing" if golds is None else "is not a list"
        raise LampProblem(
            file=name, field="golds", message=message, remedy='Give {"task", "golds": [{"id", "output"}]}'
        )
    if task_key is not None and not isinstance(task_key, str):
        raise LampProblem(file=name, field="task", message="is not a text", remedy='Write it like "LaMP_4"')
    return task_key
