"""What is wrong with a file of the benchmark, in words a person can act on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

IDS_SHOWN = 5
_LONGEST_SHOWN = 80


class LampProblem(Exception):
    """A file that does not follow the format.

    Names the file (its name, never its folder), the question (its id, or its row where the id cannot be read), the
    field, what is wrong and what to do. Never holds a user's text, so it may be logged, stored and shown.

    >>> str(LampProblem(file="q.json", question_id="7", field="input", message="is missing", remedy="Add it"))
    'q.json, question 7, field "input": is missing. Add it.'
    """

    safe_message = True

    def __init__(
        self,
        *,
        file: str,
        message: str,
        remedy: str,
        question_id: str | None = None,
        row: int | None = None,
        field: str | None = None,
    ) -> None:
        self.file = file
        self.message = message
        self.remedy = remedy
        self.question_id = question_id
        self.row = row
        self.field = field
        super().__init__(str(self))

    def __str__(self) -> str:
        where = [self.file]
        if self.question_id is not None:
            where.append(f"question {shown_id(self.question_id)}")
        elif self.row is not None:
            where.append(f"the question in row {self.row}")
        if self.field is not None:
            where.append(f'field "{self.field}"')
        return f"{', '.join(where)}: {self.message}. {self.remedy}."

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.file, self.message, self.remedy, self.question_id, self.row, self.field)


OnProblem = Callable[[LampProblem], None]
"""Is told of what is wrong with one row, which is then left out. May raise to stop the reading."""


def shown_id(value: str) -> str:
    """An id as it may stand in a message: one line, printable, short.

    >>> shown_id("12"), shown_id("a" + chr(10) + "b")
    ('12', 'a\\\\nb')
    """
    printable = value if value.isprintable() else ascii(value)[1:-1]
    return printable if len(printable) <= _LONGEST_SHOWN else printable[: _LONGEST_SHOWN - 1] + "…"


def shown_ids(ids: Sequence[str], count: int) -> str:
    """The first few of `count` ids as they may stand in a message."""
    return ", ".join(shown_id(value) for value in ids[:IDS_SHOWN]) + (", …" if count > IDS_SHOWN else "")


def _rebuild(
    file: str, message: str, remedy: str, question_id: str | None, row: int | None, field: str | None
) -> LampProblem:
    return LampProblem(file=file, message=message, remedy=remedy, question_id=question_id, row=row, field=field)
