"""Ids in benchmark files: strings in most, whole numbers in some; unique in a file as texts (LaMP reference §2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lamp.problems import LampProblem

LONGEST_ID: Final = 200
MOST_ROWS: Final = 500_000


def id_as_text(
    values: Mapping[str, Any],
    key: str,
    *,
    file: str,
    row: int,
    question_id: str | None = None,
    prefix: str = "",
) -> tuple[str, bool]:
    """The id under `key` as text, and whether it is a number in the file.

    Raises `LampProblem` for a row (or the entry of a question that `prefix` names) without an id, or with none of use.
    """
    value = values.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value), True
    if isinstance(value, str) and value and len(value) <= LONGEST_ID:
        return value, False
    if key not in values:
        message, remedy = "is missing", f'Give it as "{key}"'
    elif value == "":
        message, remedy = "is empty", "Give an id that names it"
    elif isinstance(value, str):
        message, remedy = f"is longer than {LONGEST_ID} characters", "Give a shorter id"
    else:
        message, remedy = "is neither a text nor a whole number", "Write the id as a string"
    raise LampProblem(file=file, question_id=question_id, row=row, field=prefix + key, message=message, remedy=remedy)


class SeenIds:
    """The ids of one file, each allowed once; kept as 64-bit hashes, so that half a million stay small.

    Two different ids with one hash would be refused as equal; among so many ids that happens once in 10^8 files.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._hashes: set[int] = set()

    def __contains__(self, row_id: str) -> bool:
        return hash(row_id) in self._hashes

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, row_id: str) -> None:
        """Remember `row_id`; raises `LampProblem` where it was there before, or beyond half a million rows."""
        hashed = hash(row_id)
        if hashed in self._hashes:
            raise LampProblem(
                file=self._file,
                question_id=row_id,
                field="id",
                message="is the id of an earlier question too",
                remedy="Give every question an id of its own",
            )
        if len(self._hashes) >= MOST_ROWS:
            raise LampProblem(
                file=self._file,
                message=f"more than {MOST_ROWS:,} questions",
                remedy="Split the file",
            )
        self._hashes.add(hashed)
