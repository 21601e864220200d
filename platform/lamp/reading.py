"""The streaming reader of questions files, which checks every question it hands out (LaMP reference §2)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple, Self

from lamp.bounds import QUESTIONS
from lamp.catalogue import CATALOGUE
from lamp.dates import date_key
from lamp.golds import Gold, Golds, read_golds
from lamp.json_rows import JsonRows
from lamp.problems import LampProblem, OnProblem
from lamp.queries import MissingMarker, end_of_word, query_of
from lamp.recognition import (
    ROWS_LOOKED_AT,
    Separation,
    first_rows,
    recognise_separation,
    recognise_task,
    separation_of_rows,
    task_of_input,
    task_of_rows,
    unrecognised,
)
from lamp.row_ids import LONGEST_ID, SeenIds, id_as_text
from lamp.tasks import InsertedAfter, Task

__all__ = [
    "Gold",
    "Golds",
    "ProfileEntry",
    "Question",
    "Questions",
    "Separation",
    "read_golds",
    "read_questions",
    "recognise_separation",
    "recognise_task",
]

_TEXT: Final = {str}
_REMEMBERED_VALUES: Final = 50_000
_REMEMBERED_NAMES: Final = 20


class ProfileEntry(NamedTuple):
    """One document as it stands in a question's profile; `fields` is as in the file, its id left out."""

    entry_id: str
    fields: dict[str, Any]
    id_is_integer: bool = False

    @property
    def file_id(self) -> str | int:
        """The id as the file writes it."""
        return int(self.entry_id) if self.id_is_integer else self.entry_id


@dataclass(frozen=True, slots=True)
class Question:
    id: str
    id_is_integer: bool
    input: str
    profile: tuple[ProfileEntry, ...]
    user_id: str | None
    """Only in the time-based separation; else every question is its own user."""

    @property
    def file_id(self) -> str | int:
        """The id as the file writes it."""
        return int(self.id) if self.id_is_integer else self.id


def read_questions(
    path: str | os.PathLike[str],
    *,
    task: Task | None = None,
    separation: Separation | None = None,
    name: str | None = None,
    on_problem: OnProblem | None = None,
) -> Questions:
    """Stream the questions of a file, each checked, holding one question at a time.

    Task and separation are recognised where they are not given. Ids are unique as texts. Raises `LampProblem` at once
    for a file that cannot be read or shows another task, and at the question that is wrong; with `on_problem` that is
    told of such a question, and the reading goes on to the next. `name` is what messages call the file.
    """
    return Questions(path, task=task, separation=separation, name=name, on_problem=on_problem)


class Questions(Iterator[Question]):
    """The questions of one file; what was read so far is told by the attributes."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        task: Task | None,
        separation: Separation | None,
        name: str | None,
        on_problem: OnProblem | None = None,
    ) -> None:
        self._on_problem = on_problem
        self.name = name or os.path.basename(path)
        outlines = first_rows(path, name=self.name)
        recognised = task_of_rows(outlines)
        self._demands_user_ids = separation is None
        self.separation: Separation = separation or separation_of_rows(outlines)
        self._task = task or recognised
        if task is not None:
            self._refuse_another_task(task, outlines)
        self._rows = JsonRows(path, bounds=QUESTIONS, prefix="item", name=self.name)
        self._seen = SeenIds(self.name)
        self._dates: set[str | int] = set()
        self._ratings: set[str | int | float] = set()
        self.ignored_fields: dict[str, int] = {}
        """How often profile entries held a field that the task doesn't know (at most twenty names)."""
        self.undated_entries = 0
        self.entry_count = 0

    @property
    def task(self) -> Task:
        if self._task is None:
            # A row that is no question at all is what a person should hear of first.
            for row in islice(self._rows, ROWS_LOOKED_AT):
                self._parts(row)
            self.close()
            raise unrecognised(self.name) if self._rows.row else self._empty()
        return self._task

    @property
    def bytes_read(self) -> int:
        return self._rows.bytes_read

    @property
    def size(self) -> int:
        return self._rows.size

    @property
    def ids(self) -> SeenIds:
        """The ids handed out so far."""
        return self._seen

    @property
    def count(self) -> int:
        """Questions handed out so far."""
        return self._rows.row

    def close(self) -> None:
        self._rows.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __next__(self) -> Question:
        while True:
            try:
                row = next(self._rows)
            except StopIteration:
                if self._rows.row == 0:
                    raise self._empty() from None
                raise
            try:
                return self._question(row)
            except LampProblem as problem:
                if self._on_problem is None:
                    self.close()
                    raise
                problem.row = self._rows.row
                self._on_problem(problem)

    def _empty(self) -> LampProblem:
        return LampProblem(file=self.name, message="holds no question", remedy="Check that the right file was given")

    def _refuse_another_task(self, task: Task, outlines: list[Any]) -> None:
        shown = next(
            (found for row in outlines if isinstance(row, dict) and (found := task_of_input(row.get("input")))), None
        )
        if shown is not None and shown.key != task.key and task.key in CATALOGUE:
            raise LampProblem(
                file=self.name,
                message=f"its inputs are those of {shown.key}, not of {task.key}",
                remedy=f"Name the task {shown.key}, or give the right file",
            )

    def _question(self, row: Any) -> Question:
        question_id, is_integer, text, profile = self._parts(row)
        task = self.task
        user_id = self._user_id(row, question_id)
        self._check_input(task, text, question_id)
        entries = tuple([self._entry(task, entry, place, question_id) for place, entry in enumerate(profile)])
        self.entry_count += len(entries)
        return Question(question_id, is_integer, text, entries, user_id)

    def _parts(self, row: Any) -> tuple[str, bool, str, list[Any]]:
        """Id, whether it is a number, input and profile of a row, which may be a question of any task."""
        if not isinstance(row, dict):
            raise self._problem(None, None, "is not an object", 'Give every question as {"id", "input", "profile"}')
        question_id, is_integer = id_as_text(row, "id", file=self.name, row=self._rows.row)
        self._seen.add(question_id)
        text = self._required(row, "input", question_id)
        if not isinstance(text, str):
            raise self._problem(question_id, "input", "is not a text", "Write it as a string")
        profile = self._required(row, "profile", question_id)
        if not isinstance(profile, list):
            raise self._problem(question_id, "profile", "is not a list", "Give the profile as a list of entries")
        return question_id, is_integer, text, profile

    def _required(self, row: dict[str, Any], field: str, question_id: str) -> Any:
        if field not in row:
            raise self._problem(question_id, field, "is missing", 'Give every question "id", "input" and "profile"')
        return row[field]

    def _user_id(self, row: dict[str, Any], question_id: str) -> str | None:
        if self.separation == "time":
            return id_as_text(row, "user_id", file=self.name, row=self._rows.row, question_id=question_id)[0]
        if self._demands_user_ids and "user_id" in row:
            raise self._problem(
                question_id,
                "user_id",
                "is there, and the first question has none",
                "Give every question its user (time-based) or none (user-based)",
            )
        return None

    def _check_input(self, task: Task, text: str, question_id: str) -> None:
        try:
            query_of(task, text)
            if isinstance(task.prompt, InsertedAfter):
                end_of_word(task, text, task.prompt.word)
        except MissingMarker as error:
            raise self._problem(
                question_id, "input", str(error), f"Keep to the wording of {task.key}'s inputs"
            ) from None

    def _entry(self, task: Task, entry: Any, place: int, question_id: str) -> ProfileEntry:
        """One profile entry. Thousands come a question, so what is right must be found right quickly."""
        if type(entry) is not dict:
            field = f"profile[{place}]"
            raise self._problem(question_id, field, "is not an object", "Give every profile entry as an object")
        entry_id, is_integer = entry.pop("id", None), False
        if type(entry_id) is not str or not 0 < len(entry_id) <= LONGEST_ID:
            holder = {} if entry_id is None else {"id": entry_id}
            entry_id, is_integer = id_as_text(
                holder, "id", file=self.name, row=self._rows.row, question_id=question_id, prefix=f"profile[{place}]."
            )
        if task.rating is not None or not _TEXT.issuperset(map(type, map(entry.get, task.fields))):
            for name in task.fields:
                value = entry.get(name)
                if type(value) is not str or (task.rating is not None and name == task.rating.field):
                    self._check_field(entry, name, value, place, question_id)
        date = entry.get("date")
        if type(date) not in (str, int) or date not in self._dates:
            self._check_date(entry, date, place, question_id)
        if len(entry) > len(task.fields) + ("date" in entry):
            entry = self._known_fields(entry)
        return ProfileEntry(entry_id, entry, is_integer)

    def _check_field(self, entry: dict[str, Any], name: str, value: Any, place: int, question_id: str) -> None:
        if type(value) in (str, int, float) and value in self._ratings:
            return
        for problem in self.task.field_problems(entry):
            field = f"profile[{place}].{problem.field}"
            raise self._problem(question_id, field, problem.message, problem.remedy[:1].upper() + problem.remedy[1:])
        if len(self._ratings) < _REMEMBERED_VALUES:
            self._ratings.add(value)

    def _check_date(self, entry: dict[str, Any], date: Any, place: int, question_id: str) -> None:
        field = f"profile[{place}].date"
        if "date" not in entry:
            self.undated_entries += 1
            if self.separation == "time":
                remedy = "Give every entry its date, or import the file as user-based"
                raise self._problem(question_id, field, "is missing", remedy)
            return
        try:
            date_key(date)
        except (ValueError, TypeError):
            raise self._problem(
                question_id, field, "is no date", 'Write a year or year-month-day: "2009", 2009 or "2017-01-07"'
            ) from None
        if len(self._dates) < _REMEMBERED_VALUES:
            self._dates.add(date)

    def _known_fields(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Without what the task doesn't know, which could reach no prompt and would make equal documents differ."""
        known = {*self.task.fields, "date"}
        for name in entry.keys() - known:
            if name in self.ignored_fields or len(self.ignored_fields) < _REMEMBERED_NAMES:
                self.ignored_fields[name] = self.ignored_fields.get(name, 0) + 1
        return {name: value for name, value in entry.items() if name in known}

    def _problem(self, question_id: str | None, field: str | None, message: str, remedy: str) -> LampProblem:
        return LampProblem(
            file=self.name, question_id=question_id, row=self._rows.row, field=field, message=message, remedy=remedy
        )
