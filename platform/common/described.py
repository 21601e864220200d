"""What may be kept of an exception, in a log or a table: never a user's words.

An exception's message can quote what it choked on, so a message is kept only where its class promises, by
`safe_message = True`, to hold none of the users' text; of any other the type and the frames (file, line, function,
without source values) are kept, and for a database error the names it refers to.
"""

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_MESSAGE: Final = 500
MAX_TRACE: Final = 20_000
WITHHELD: Final = "The message is withheld: it may quote a user's text."


@dataclass(frozen=True)
class Described:
    """An error in the form that may be stored and logged."""

    type: str
    message: str
    trace: str

    def for_log(self) -> str:
        """One line for the log: type, message, and the innermost frame."""
        where = self.trace.strip().splitlines()[-1].strip() if self.trace else ""
        return " ".join(part for part in (self.type, self.message, where) if part)


def describe(exc: BaseException) -> Described:
    """What may be kept of `exc`."""
    return Described(type=_name(exc), message=_message(exc)[:MAX_MESSAGE], trace=_trace(exc)[:MAX_TRACE])


def _name(exc: BaseException) -> str:
    cls = type(exc)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _message(exc: BaseException) -> str:
    if getattr(type(exc), "safe_message", False):
        return str(exc)
    named = _named_by_database(exc)
    return f"{named}. {WITHHELD}" if named else WITHHELD


def _named_by_database(exc: BaseException) -> str:
    """SQLSTATE, table, column and constraint of a psycopg error: names of ours, no values."""
    diag = getattr(exc, "diag", None) or getattr(exc.__cause__, "diag", None)
    parts = [
        f"{label} {value}"
        for label, attribute in (
            ("SQLSTATE", "sqlstate"),
            ("table", "table_name"),
            ("column", "column_name"),
            ("constraint", "constraint_name"),
        )
        if (value := getattr(diag, attribute, None))
    ]
    return ", ".join(parts)


def chain(exc: BaseException) -> Iterator[BaseException]:
    """`exc`, then what it came from, innermost last."""
    seen: set[int] = set()
    current: BaseException | None = exc
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _trace(exc: BaseException) -> str:
    lines: list[str] = []
    for link in reversed(list(chain(exc))):
        if lines:
            lines.append("which led to")
        lines.append(_name(link))
        frames = traceback.StackSummary.extract(traceback.walk_tb(link.__traceback__), lookup_lines=False)
        lines += [f'  File "{_short(frame.filename)}", line {frame.lineno}, in {frame.name}' for frame in frames]
    return "\n".join(lines)


def _short(filename: str) -> str:
    """The path from the package folder on: an admin knows the rest, and it names the machine's folders."""
    parts = Path(filename).parts
    if "site-packages" in parts:
        return "/".join(parts[parts.index("site-packages") + 1 :])
    return "/".join(parts[-3:])
