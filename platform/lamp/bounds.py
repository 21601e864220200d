"""A scanner between a file's bytes and the JSON parser: finds what must never be held in memory.

A JSON parser that streams still holds one value whole: a string of a gigabyte, a thousand nested lists or one question
with a million entries end up in memory before anyone can refuse them. `BoundedFile.read` lets through only bytes it has
looked at. All work on a piece is done by `bytes` methods and numpy, over a hundred megabytes a second.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]

MIB: Final = 1 << 20
PIECE_BYTES: Final = 256 * 1024

_QUOTE, _COMMA, _OPENING_BRACKET, _CLOSING_BRACKET = b'",[]'
# A brace is a bracket with this bit set.
_BRACE_BIT: Final = 0x20
_SURROGATE_PAIR: Final = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
# The longest thing that must be seen whole is a pair of surrogates, twelve bytes.
_LONGEST_ESCAPE: Final = 12
_BYTE_ORDER_MARKS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NO_NUL: Final = "Remove it: no database text can hold it"
_DEPTH_CHANGE: Final = np.zeros(256, dtype=np.int64)
_DEPTH_CHANGE[list(b"[{")] = 1
_DEPTH_CHANGE[list(b"]}")] = -1


@dataclass(frozen=True)
class Bounds:
    """What one kind of file may hold. A row is one question or one answer."""

    opens_with: bytes
    """The first byte that is not blank."""
    form: str
    """What the file must hold, in words."""
    depth: int
    """How many lists and objects may stand inside each other."""
    row_depth: int
    """The depth inside a row's own object."""
    string_bytes: int = MIB
    row_bytes: int = 16 * MIB
    row_values: int = 250_000
    """Values in one row: about 40,000 profile entries of five fields."""


QUESTIONS: Final = Bounds(opens_with=b"[", form="a list of questions", depth=4, row_depth=2)
GOLDS: Final = Bounds(opens_with=b"{", form='an object with "task" and "golds"', depth=3, row_depth=3)
# Beside the answers, a truth holds traits of users, which are free to nest a little.
TRUTH: Final = Bounds(opens_with=b"{", form='an object with "task" and "oracle"', depth=10, row_depth=5)


class OutOfBounds(Exception):
    """What was found, and where.

    `row` counts from 1 (0: before the first); `row_start`, None outside a row, and `offset` are positions in the file.
    """

    def __init__(self, *, message: str, remedy: str, row: int, row_start: int | None, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.row = row
        self.row_start = row_start
        self.offset = offset


class _Flaw(NamedTuple):
    position: int
    message: str
    remedy: str


class BoundedFile:
    """A file whose `read` raises `OutOfBounds` instead of handing out what breaks `bounds`."""

    def __init__(self, file: BinaryIO, bounds: Bounds) -> None:
        self._file = file
        self._bounds = bounds
        self._held = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._opened = False
        self._in_string = False
        self._string_start = 0
        self._depth = 0
        self._row = 0
        self._row_start: int | None = None
        self._row_values = 0
        self._recent_rows: list[tuple[int, int]] = []
        self.bytes_read = 0
        """How many bytes were handed out so far."""

    def read(self, size: int = PIECE_BYTES) -> bytes:
        """The next bytes, at most `size` and a held-back escape; empty at the end of the file only."""
        if size == 0:
            return b""
        while True:
            fresh = self._file.read(size if size > 0 else PIECE_BYTES)
            piece = self._held + fresh
            if not piece:
                return b""
            piece = self._checked(piece, held=len(self._held), final=not fresh)
            if piece:
                self.bytes_read += len(piece)
                return piece

    def row_start(self, row: int) -> int | None:
        """Where `row` (from 1) begins in the file, for rows of the last piece read; None for others."""
        return dict(self._recent_rows).get(row)

    def _checked(self, piece: bytes, *, held: int, final: bool) -> bytes:
        """The part of `piece` that holds whole escapes and keeps the bounds; the rest waits for the next read."""
        flaws = list(self._byte_flaws(piece, held=held, final=final))
        plain, kept = piece, len(piece)
        if b"\\" in piece:
            plain = _neutralised(piece)
            kept = len(piece) if final else _whole_escapes(plain)
            flaws += _escape_flaws(plain, kept)
        first = min(flaws, default=None)
        if first is not None:
            kept = first.position
        plain = plain[:kept]
        if not self._opened:
            self._check_opening(plain)
        self._check_structure(plain)
        if first is not None:
            raise OutOfBounds(
                message=first.message,
                remedy=first.remedy,
                row=self._row,
                row_start=self._row_start,
                offset=self.bytes_read + kept,
            )
        self._held = piece[kept:]
        return piece[:kept]

    def _byte_flaws(self, piece: bytes, *, held: int, final: bool) -> Iterator[_Flaw]:
        """What needs no understanding of JSON: a byte order mark, NUL, broken UTF-8. `held` bytes were seen before."""
        if self.bytes_read == 0 and held == 0 and piece.startswith(_BYTE_ORDER_MARKS):
            yield _Flaw(0, "a byte order mark before the JSON", "Save the file as UTF-8 without one")
            return
        nul = piece.find(b"\0", held)
        if nul >= 0:
            yield _Flaw(nul, "a NUL character", _NO_NUL)
        pending = len(self._decoder.getstate()[0])
        if pending or not piece.isascii():
            try:
                self._decoder.decode(piece[held:], final=final)
            except UnicodeDecodeError as error:
                # The decoder counts from the unfinished character of the piece before.
                position = max(0, held + error.start - pending)
                yield _Flaw(position, "bytes that are not UTF-8", "Save the file as UTF-8")

    def _check_opening(self, plain: bytes) -> None:
        text = plain.lstrip(b" \t\r\n")
        if not text:
            return
        self._opened = True
        expected = self._bounds.opens_with
        if text[:1] == expected:
            return
        found = {b"[": "a list", b"{": "an object"}.get(text[:1])
        wanted = self._bounds.form
        if found is None:
            raise self._fault("not JSON", f"The file must hold {wanted}", self.bytes_read)
        raise self._fault(f"{found} where {wanted} belongs", "Check that the right file was given", self.bytes_read)

    def _check_structure(self, plain: bytes) -> None:
        """Lengths of strings, depth, and the size of rows; `plain` has no escaped quote any more."""
        characters = np.frombuffer(plain, dtype=np.uint8)
        signs = np.flatnonzero(_is_sign(characters))
        kinds = characters[signs]
        is_quote = kinds == _QUOTE
        in_string = (np.cumsum(is_quote) + self._in_string) & 1
        is_mark = (in_string == 0) & ~is_quote
        self._check_nesting(kinds[is_mark], signs[is_mark], len(plain))
        self._check_strings(signs[is_quote], len(plain))

    def _check_strings(self, quotes: Positions, size: int) -> None:
        base = self.bytes_read
        opening = quotes[int(self._in_string) :: 2] + base
        closing = quotes[int(not self._in_string) :: 2] + base
        starts = np.concatenate(([self._string_start], opening)) if self._in_string else opening
        self._in_string = len(starts) > len(closing)
        ends = np.append(closing, base + size) if self._in_string else closing
        too_long = np.flatnonzero(ends - starts - 1 > self._bounds.string_bytes)
        if len(too_long):
            raise self._fault(
                f"a string longer than {self._bounds.string_bytes // MIB} MiB",
                "Shorten it, or split it into several entries",
                int(starts[too_long[0]]),
            )
        if self._in_string:
            self._string_start = int(starts[-1])

    def _check_nesting(self, kinds: NDArray[np.uint8], marks: Positions, size: int) -> None:
        base = self.bytes_read
        bounds = self._bounds
        change = _DEPTH_CHANGE[kinds]
        depth = self._depth + np.cumsum(change)
        begins = np.flatnonzero((change == 1) & (depth == bounds.row_depth))
        ends = np.flatnonzero((change == -1) & (depth == bounds.row_depth - 1))
        opened_before = [] if self._row_start is None else [(self._row, self._row_start)]
        starts = (marks[begins] + base).tolist()
        self._recent_rows = opened_before + [(self._row + n, start) for n, start in enumerate(starts, start=1)]
        too_deep = np.flatnonzero(depth > bounds.depth)
        if len(too_deep):
            raise self._fault(
                "lists or objects inside each other, deeper than the format has them",
                "Keep to the form of the benchmark's files",
                int(marks[too_deep[0]]) + base,
            )
        self._check_open_row(ends=ends, marks=marks, size=size)
        if len(depth):
            self._depth = int(depth[-1])
        self._row += len(starts)
        if len(ends) and (not len(begins) or ends[-1] > begins[-1]):
            self._row_start, self._row_values = None, 0
        elif len(begins):
            self._row_start, self._row_values = starts[-1], len(marks) - int(begins[-1])
        elif self._row_start is not None:
            self._row_values += len(marks)

    def _check_open_row(self, *, ends: Positions, marks: Positions, size: int) -> None:
        """Only a row that began in an earlier piece can be too big: a piece is much smaller than the bounds."""
        if self._row_start is None:
            return
        end = self.bytes_read + (int(marks[ends[0]]) if len(ends) else size)
        values = self._row_values + (int(ends[0]) if len(ends) else len(marks))
        if end - self._row_start > self._bounds.row_bytes:
            limit = f"{self._bounds.row_bytes // MIB} MiB"
        elif values > self._bounds.row_values:
            limit = f"{self._bounds.row_values:,} values"
        else:
            return
        raise self._fault(f"one question of more than {limit}", "Shorten its profile", end)

    def _fault(self, message: str, remedy: str, offset: int) -> OutOfBounds:
        row, row_start = self._row, self._row_start
        for candidate, start in self._recent_rows:
            if start <= offset:
                row, row_start = candidate, start
        return OutOfBounds(message=message, remedy=remedy, row=row, row_start=row_start, offset=offset)


def _is_sign(characters: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the quotes stand, and what matters outside strings: a comma changes no depth and counts as a value."""
    brackets = characters & (0xFF ^ _BRACE_BIT)
    found = brackets == _OPENING_BRACKET
    for kind in (brackets == _CLOSING_BRACKET, characters == _QUOTE, characters == _COMMA):
        found |= kind
    return found


def _neutralised(piece: bytes) -> bytes:
    """`piece`, as long as before, without escaped quotes, escaped backslashes and whole surrogate pairs."""
    # A run of backslashes begins where an escape begins, so replacing from the left pairs them as JSON does.
    plain = piece.replace(b"\\\\", b"  ").replace(b'\\"', b"  ")
    if b"\\ud" in plain or b"\\uD" in plain:
        plain = _SURROGATE_PAIR.sub(b" " * _LONGEST_ESCAPE, plain)
    return plain


def _whole_escapes(plain: bytes) -> int:
    """How much of a neutralised piece certainly ends between escapes."""
    unfinished = plain.find(b"\\", max(0, len(plain) - _LONGEST_ESCAPE + 1))
    return unfinished if unfinished >= 0 else len(plain)


def _escape_flaws(plain: bytes, end: int) -> Iterator[_Flaw]:
    nul = plain.find(b"\\u0000", 0, end)
    if nul >= 0:
        yield _Flaw(nul, "an escaped NUL character (\\u0000)", _NO_NUL)
    surrogate = _SURROGATE.search(plain, 0, end)
    if surrogate:
        yield _Flaw(
            surrogate.start(), "half of a surrogate pair, which is no character", "Write the whole pair or leave it out"
        )
