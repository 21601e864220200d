"""From what a client sends to a document of a task: every check, with the place, what is wrong and what to do."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from common.api.converters import MOST_CHARACTERS, stands_in_an_address
from common.api.problems import MOST_ERRORS, FieldError, pointer
from lamp.catalogue import UnknownTask
from lamp.dates import date_key
from lamp.tasks import Task
from users_app.models import Workspace
from users_app.profiles import NewDocument
from users_app.tasks import task_of

MOST_TEXT_BYTES: Final = 2**20
"""What all texts of a document may have together."""

_NAMES: Final = ("id", "task", "fields", "date")


class DocumentReader:
    """Reads the documents of one workspace; each task is looked up once."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._tasks: dict[str, Task | None] = {}

    def read(self, value: Any, *place: str | int) -> NewDocument | list[FieldError]:
        """The document that `value` describes, or what is wrong with it; `place` is where it stands in the body."""
        if not isinstance(value, dict):
            return [FieldError(pointer(*place), "This is no JSON object.", "Send an object with id, task and fields.")]
        errors = [
            FieldError(pointer(*place, name), "There is no such field.", f"Remove it. Known are: {', '.join(_NAMES)}.")
            for name in islice((name for name in value if name not in _NAMES), MOST_ERRORS + 1)
        ]
        errors += [
            FieldError(pointer(*place, name), "This is missing.", "Add it.")
            for name in ("id", "task", "fields")
            if name not in value
        ]
        if errors:
            return errors
        task = self._task(value["task"])
        if task is None:
            errors.append(
                FieldError(
                    pointer(*place, "task"), "There is no task of that name.", "Send the key of one of the tasks."
                )
            )
        errors += _id_errors(value["id"], place)
        errors += _date_errors(value.get("date"), place)
        errors += _fields_errors(value["fields"], task, place)
        if errors or task is None:
            return errors
        dated = {} if value.get("date") is None else {"date": value["date"]}
        return NewDocument(task=task.key, client_id=value["id"], fields={**value["fields"], **dated})

    def _task(self, key: Any) -> Task | None:
        if not isinstance(key, str):
            return None
        if key not in self._tasks:
            try:
                self._tasks[key] = task_of(workspace=self._workspace, key=key)
            except UnknownTask:
                self._tasks[key] = None
        return self._tasks[key]


def _id_errors(value: Any, place: tuple[str | int, ...]) -> list[FieldError]:
    if not isinstance(value, str):
        return [FieldError(pointer(*place, "id"), "This is no string.", "Send a JSON string.")]
    if not 1 <= len(value) <= MOST_CHARACTERS:
        message = f"This does not have 1 to {MOST_CHARACTERS} characters."
        return [FieldError(pointer(*place, "id"), message, "Send an id of that length.")]
    if not stands_in_an_address(value):
        remedy = "Leave out “/” and control characters."
        return [FieldError(pointer(*place, "id"), "This cannot stand in an address.", remedy)]
    return []


def _date_errors(value: Any, place: tuple[str | int, ...]) -> list[FieldError]:
    if value is None:
        return []
    try:
        date_key(value)
    except ValueError:
        remedy = "Send a year or year-month-day: 2009, “2009” or “2017-01-07”."
        return [FieldError(pointer(*place, "date"), "This is no date.", remedy)]
    return []


def _fields_errors(value: Any, task: Task | None, place: tuple[str | int, ...]) -> list[FieldError]:
    if not isinstance(value, dict):
        return [
            FieldError(pointer(*place, "fields"), "This is no JSON object.", "Send the task's fields as an object.")
        ]
    if task is None:
        return []
    known = ", ".join(task.fields)
    errors = [
        FieldError(
            pointer(*place, "fields", name),
            "The task has no such field.",
            "Put the date beside the fields." if name == "date" else f"Remove it. {task.key} has: {known}.",
        )
        for name in islice((name for name in value if name not in task.fields), MOST_ERRORS + 1)
    ]
    errors += [
        FieldError(pointer(*place, "fields", field), f"This {message}.", f"{remedy[:1].upper()}{remedy[1:]}.")
        for field, message, remedy in task.field_problems(value)
    ]
    return errors + _length_errors(value, place)


def _length_errors(fields: Mapping[str, Any], place: tuple[str | int, ...]) -> list[FieldError]:
    texts = {name: text for name, text in fields.items() if isinstance(text, str)}
    # Only what may be as long is measured to the byte.
    if sum(map(len, texts.values())) * 4 <= MOST_TEXT_BYTES:
        return []
    sizes = {name: len(text.encode()) for name, text in texts.items()}
    if sum(sizes.values()) <= MOST_TEXT_BYTES:
        return []
    longest = max(sizes, key=lambda name: sizes[name])
    if sizes[longest] > MOST_TEXT_BYTES:
        place, message = (*place, "fields", longest), f"This has more than {MOST_TEXT_BYTES:,} bytes."
    else:
        place, message = (*place, "fields"), f"The texts have more than {MOST_TEXT_BYTES:,} bytes together."
    return [FieldError(pointer(*place), message, "Shorten it.")]
