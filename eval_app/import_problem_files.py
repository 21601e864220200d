"""The problems of an import as a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Final

from django.db.models import QuerySet

from eval_app.models import ImportProblem

_COLUMNS: Final = ("split", "file", "row", "question", "field", "problem", "what to do")
_ROWS_AT_ONCE: Final = 1_000
# What spreadsheets would calculate instead of showing it.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class _Line:
    """What the writer writes to: it hands the line on."""

    def write(self, line: str) -> str:
        return line


def problems_csv(problems: QuerySet[ImportProblem]) -> Iterator[str]:
    """The file's lines, the names of the columns first."""
    writer = csv.writer(_Line())
    yield writer.writerow(_COLUMNS)
    for one in problems.iterator(chunk_size=_ROWS_AT_ONCE):
        cells = (one.split, one.file, one.row or "", one.question_id, one.field, one.message, one.remedy)
        yield writer.writerow([_shown(cell) for cell in cells])


def _shown(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
