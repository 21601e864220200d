"""Rows for PostgreSQL's COPY in its text format, made by string methods: several times faster than a dumper a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, Final

from django.db import connection

NULL: Final = r"\N"
_BLOCK_BYTES: Final = 128 * 1024


def text_value(value: str) -> str:
    """A text as it stands in a COPY row. It must hold no NUL."""
    return value.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")


def json_value(canonical: str) -> str:
    """A JSON text as it stands in a COPY row; JSON holds no raw tab or line end."""
    return canonical.replace("\\", r"\\")


def bytes_value(hexadecimal: str) -> str:
    return r"\\x" + hexadecimal


def int_array_value(values: Iterable[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


def bytes_array_value(hexadecimals: Sequence[str]) -> str:
    # A backslash is doubled once for the array and once for the row.
    return r'{"\\\\x' + r'","\\\\x'.join(hexadecimals) + '"}' if hexadecimals else "{}"


def text_array_value(values: Sequence[str]) -> str:
    """Texts as they stand in a COPY row. They must hold no NUL, which separates them meanwhile."""
    if not values:
        return "{}"
    quoted = "\0".join(values).replace("\\", r"\\").replace('"', r"\"").replace("\0", '","')
    return text_value('{"' + quoted + '"}')


class Copying:
    """An open COPY. The server works on what was written while more is made; nothing else may use the connection."""

    def __init__(self, copy: Any) -> None:
        self._copy = copy
        self._lines: list[str] = []
        self._waiting = 0

    def write_line(self, line: str) -> None:
        """Write one row: tab-separated values without a line end."""
        self._lines.append(line)
        self._waiting += len(line)
        if self._waiting >= _BLOCK_BYTES:
            self.flush()

    def write_lines_of(self, file: IO[bytes]) -> None:
        """Write the rest of a file of rows."""
        while block := file.read(_BLOCK_BYTES):
            self._copy.write(block)

    def flush(self) -> None:
        if self._lines:
            self._lines.append("")
            self._copy.write("\n".join(self._lines))
            self._lines = []
            self._waiting = 0


@contextmanager
def copying(table: str, columns: Sequence[str]) -> Iterator[Copying]:
    """COPY into `table` until the block ends. The names are put in as they are."""
    with connection.cursor() as cursor:
        opened: Any = cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN")
        with opened as copy:
            rows = Copying(copy)
            yield rows
            rows.flush()
