"""Which task and which separation a questions file holds, told from its first questions (LaMP reference §2)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final, Literal

from lamp.bounds import QUESTIONS
from lamp.catalogue import CATALOGUE, UnknownTask, get_task
from lamp.json_rows import JsonRows
from lamp.problems import LampProblem
from lamp.tasks import Task

Separation = Literal["user", "time"]

ROWS_LOOKED_AT: Final = 50
_NEWS: Final = "LaMP-2N"


def recognise_task(path: str | os.PathLike[str], *, name: str | None = None) -> Task:
    """The task of a questions file, by the words its inputs begin with and the fields of its profiles.

    Raises `LampProblem` where these fit no task, or several.
    """
    rows = first_rows(path, name=name)
    task = task_of_rows(rows)
    if task is None:
        raise unrecognised(name or os.path.basename(path))
    return task


def recognise_separation(path: str | os.PathLike[str], *, name: str | None = None) -> Separation:
    """ "time" where the first question names its user, "user" where every question is its own."""
    return separation_of_rows(first_rows(path, name=name))


def first_rows(path: str | os.PathLike[str], *, name: str | None = None) -> list[Any]:
    """The file's first rows, whatever they are, up to the first that tells its task."""
    outlines: list[Any] = []
    with JsonRows(path, bounds=QUESTIONS, prefix="item", name=name) as rows:
        for row in islice(rows, ROWS_LOOKED_AT):
            outlines.append(_outline(row))
            if isinstance(row, dict) and task_of_input(row.get("input")) is not None:
                break
    return outlines


def task_of_rows(rows: Iterable[Any]) -> Task | None:
    """The task that the first telling row shows; None where no row tells."""
    by_fields: list[Task] = []
    for row in rows:
        if not isinstance(row, Mapping):
            continue
        opened = task_of_input(row.get("input"))
        if opened is not None:
            return opened
        by_fields = by_fields or _tasks_with_fields(row.get("profile"))
    return by_fields[0] if len(by_fields) == 1 else None


def task_of_input(input_text: object) -> Task | None:
    """The task whose own words begin the input; None for words of somebody else's."""
    if not isinstance(input_text, str):
        return None
    opened = [task for task in CATALOGUE.values() if input_text.startswith(task.opening)]
    return opened[0] if len(opened) == 1 else None


def separation_of_rows(rows: Iterable[Any]) -> Separation:
    first = next(iter(rows), None)
    return "time" if isinstance(first, Mapping) and "user_id" in first else "user"


def names_task(task_key: str, task: Task) -> bool:
    """Whether an outputs file's "task" can mean `task`: the news version of LaMP-2 is called LaMP_2 there too."""
    try:
        named = get_task(task_key)
    except UnknownTask:
        return False
    return named.key == task.key or (task.key == _NEWS and named.key == "LaMP-2")


def unrecognised(name: str) -> LampProblem:
    return LampProblem(
        file=name,
        message="its inputs and profile fields fit none of the tasks",
        remedy=f"Name the task: {', '.join(CATALOGUE)}",
    )


def _outline(row: Any) -> Any:
    """The row with the first entry of its profile alone, so that looking at many rows holds little."""
    if not isinstance(row, dict):
        return row
    profile = row.get("profile")
    return row | {"profile": profile[:1]} if isinstance(profile, list) else row


def _tasks_with_fields(profile: object) -> list[Task]:
    if not isinstance(profile, list) or not profile or not isinstance(profile[0], Mapping):
        return []
    names = set(profile[0]) - {"id", "date"}
    return [task for task in CATALOGUE.values() if set(task.fields) == names]
