"""The rows of a benchmark file, one after the other, in bounded memory: questions of a list, or golds of an object."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import ijson
from ijson.backends import yajl2_c

from lamp.bounds import PIECE_BYTES, BoundedFile, Bounds, OutOfBounds
from lamp.problems import LampProblem

_LONGEST_FIELD_NAME: Final = 40
# yajl's own messages quote the file; only these of its phrases may be repeated.
_REASONS: Final = {
    "premature EOF": ("the file ends in the middle", "Download or write it again"),
    "trailing garbage": ("something stands after the end of the JSON", "Remove it"),
    "integer overflow": ("a whole number of more than 18 digits", "Write it as a string, or correct it"),
    "numeric (floating point) overflow": ("a number that is not finite", "Correct it"),
    "invalid character inside string": ("a control character inside a string", "Write it as an escape"),
}
_NOT_JSON: Final = ("not JSON", "Check that the file is whole and was written as JSON")


class _JsonStream:
    """An open file between its bounds and the parser; turns what either finds into a `LampProblem`."""

    def __init__(self, path: str | os.PathLike[str], *, bounds: Bounds, name: str | None) -> None:
        self._path = Path(path)
        self._bounds = bounds
        self.name = name or self._path.name
        self._file = _opened(self._path, self.name)
        self._bounded = BoundedFile(self._file, bounds)
        self.size = os.fstat(self._file.fileno()).st_size
        self.row = 0
        """Number of the row handed out last, from 1."""

    @property
    def bytes_read(self) -> int:
        return self._bounded.bytes_read

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self, parsed: Iterator[Any]) -> Any:
        try:
            return next(parsed)
        except StopIteration:
            self.close()
            raise
        except OutOfBounds as fault:
            self.close()
            raise self._problem(fault.message, fault.remedy, fault.row, fault.row_start, fault.offset) from None
        except ijson.JSONError as error:
            self.close()
            text = str(error)
            message, remedy = next((words for phrase, words in _REASONS.items() if phrase in text), _NOT_JSON)
            row = self.row + 1
            start = self._bounded.row_start(row)
            raise self._problem(message, remedy, row, start, self._bounded.bytes_read) from None
        except OSError as error:
            self.close()
            raise _unreadable(self.name, error) from None

    def _problem(self, message: str, remedy: str, row: int, row_start: int | None, offset: int) -> LampProblem:
        question_id, field = (None, None) if row_start is None else self._place(row_start, offset)
        return LampProblem(
            file=self.name,
            question_id=question_id,
            row=None if row_start is None else row,
            field=field,
            message=message,
            remedy=remedy,
        )

    def _place(self, start: int, end: int) -> tuple[str | None, str | None]:
        """The id and the field read last in a row's bytes; both as far as they can be read."""
        question_id: str | None = None
        field: str | None = None
        entries = 0
        with self._path.open("rb") as file:
            file.seek(start)
            part = io.BytesIO(file.read(min(end - start, self._bounds.row_bytes)))
        try:
            for prefix, event, value in yajl2_c.parse(part, buf_size=PIECE_BYTES, use_float=True):
                if prefix == "id" and event in ("string", "number"):
                    question_id = str(value)
                elif prefix == "profile.item" and event == "start_map":
                    entries, field = entries + 1, f"profile[{entries}]"
                elif event == "map_key" and prefix in ("", "profile.item"):
                    known = value if value.isidentifier() and len(value) <= _LONGEST_FIELD_NAME else None
                    field = known if prefix == "" else f"profile[{entries - 1}]" + (f".{known}" if known else "")
        except (ijson.JSONError, UnicodeDecodeError):
            pass
        return question_id, field


class JsonRows(_JsonStream, Iterator[Any]):
    """Iterates over the values under `prefix` ("item", "golds.item") of a file that keeps `bounds`.

    Numbers come as int or float, never NaN or infinite. Raises `LampProblem` for a file that cannot be read, is no JSON
    or breaks the bounds; `name` is what messages call it (the path's own name by default).
    """

    def __init__(self, path: str | os.PathLike[str], *, bounds: Bounds, prefix: str, name: str | None = None) -> None:
        super().__init__(path, bounds=bounds, name=name)
        self._items = yajl2_c.items(self._bounded, prefix, buf_size=PIECE_BYTES, use_float=True)

    def __next__(self) -> Any:
        item = self._next(self._items)
        self.row += 1
        return item


class JsonEvents(_JsonStream, Iterator[tuple[str, str, Any]]):
    """Iterates over (prefix, event, value) as ijson names them, of a file that keeps `bounds`."""

    def __init__(self, path: str | os.PathLike[str], *, bounds: Bounds, name: str | None = None) -> None:
        super().__init__(path, bounds=bounds, name=name)
        self._events = yajl2_c.parse(self._bounded, buf_size=PIECE_BYTES, use_float=True)

    def __next__(self) -> tuple[str, str, Any]:
        event = self._next(self._events)
        if event[:2] == ("golds.item", "end_map"):
            self.row += 1
        return event


def _opened(path: Path, name: str) -> BinaryIO:
    try:
        # A pipe or a device would be waited for, and cannot be read twice.
        if not stat.S_ISREG(path.stat().st_mode):
            message = "is a directory" if path.is_dir() else "is not a regular file"
            raise LampProblem(file=name, message=message, remedy="Give the path of a JSON file")
        return path.open("rb")
    except OSError as error:
        raise _unreadable(name, error) from None


def _unreadable(name: str, error: OSError) -> LampProblem:
    match error:
        case FileNotFoundError():
            message, remedy = "there is no such file", "Check the path"
        case PermissionError():
            message, remedy = "the file may not be read", "Give this process permission to read it"
        case _:
            message, remedy = (
                f"the file cannot be read ({error.strerror or 'input error'})",
                "Check the disk and the path",
            )
    return LampProblem(file=name, message=message, remedy=remedy)
