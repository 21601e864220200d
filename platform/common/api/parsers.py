"""Reading bodies: strict JSON within bounds, and JSON lines as a stream.

What PostgreSQL cannot hold (NUL, half of a surrogate pair), what programs read differently (duplicate names, numbers
beyond double precision) and what only serves to exhaust (depth, size) is refused here, so that nothing behind has to
think of it.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import IO, Any, Final

from django.conf import settings
from django.db import connection
from django.http import UnreadablePostError
from rest_framework.parsers import BaseParser

from common.api.problems import MOST_ERRORS, FieldError, Problem, body_too_large, invalid_input, malformed_body, pointer

MOST_DEPTH: Final = 32
MOST_LINE_BYTES: Final = 2**20
# Numbers beyond are different in other programs: JavaScript's and JSON's usual readers hold doubles.
LARGEST_INTEGER: Final = 2**53
# Lists and objects of one body. A short body of empty ones would take fifty times its size of memory.
MOST_CONTAINERS: Final = 100_000
_BLOCK_BYTES: Final = 2**16
# Never goes back: one that is not closed reaches to the end, and so is looked through once.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_ESCAPES_REFUSED: Final = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


class StrictJSONParser(BaseParser):
    """`application/json`: one object or list within `API_MAX_BODY_BYTES`."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The body's value; raises `Problem`."""
        request = (parser_context or {})["request"]
        raw = _read_whole(stream, request.META, limit=settings.API_MAX_BODY_BYTES)
        request.body_digest = hashlib.sha256(raw).digest()
        value = parse_json(raw)
        if not isinstance(value, (dict, list)):
            raise malformed_body("The body must be a JSON object or a list.")
        return value


@dataclass(frozen=True)
class Line:
    """One line of JSON lines: its number (from 1), its value, or what is wrong with it, and its size in bytes."""

    number: int
    value: Any = None
    errors: tuple[FieldError, ...] = ()
    size: int = 0


class NDJSONParser(BaseParser):
    """`application/x-ndjson`: `request.data` is an iterator of `Line` that reads the body as it comes.

    Empty lines are passed over. A line that cannot be read comes with its errors, and the next one follows. Raises
    `Problem` 413 where the body goes on beyond `API_MAX_STREAM_BYTES`.
    """

    media_type = "application/x-ndjson"

    def parse(  # type: ignore[override]  # the framework hands on whatever it is given
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Iterator[Line]:
        """The lines, none of which has been read yet."""
        limit = settings.API_MAX_STREAM_BYTES
        _check_head((parser_context or {})["request"].META, limit=limit)
        return _lines(stream, limit=limit)


def parse_json(raw: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises `Problem`: `malformed-body` where it is no JSON, else `invalid-input`.

    >>> parse_json(b'{"a": [1, 2.5, "x"]}')
    {'a': [1, 2.5, 'x']}
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise malformed_body("The body is not text in UTF-8.") from None
    _check_containers(raw)
    reader = _Reader()
    try:
        value = json.loads(
            text,
            object_pairs_hook=reader.object,
            parse_int=reader.integer,
            parse_float=reader.number,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise malformed_body(
            f"The body is no JSON: see line {error.lineno}, column {error.colno} ({error.msg})."
        ) from None
    except RecursionError:
        raise _too_deep("") from None
    if _ESCAPES_REFUSED.search(text):
        reader.suspicious = True
    errors = list(islice(_problems_of(value, look_at_values=reader.suspicious), MOST_ERRORS + 1))
    if errors:
        raise invalid_input(*errors)
    return value


@dataclass(frozen=True)
class _Refused:
    """Stands where a value cannot be taken, until its place in the body is known."""

    message: str
    remedy: str


class _Duplicated(dict[str, Any]):
    """An object in which a name stands twice."""

    name = ""


class _Reader:
    """Makes values, and remembers whether any of them must be looked for."""

    def __init__(self) -> None:
        self.suspicious = False

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        self.suspicious = True
        seen: set[str] = set()
        refused = _Duplicated(found)
        refused.name = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        return refused

    def integer(self, text: str) -> int | _Refused:
        # Longer ones are not even converted: that takes the square of their length.
        if len(text) <= 17:
            value = int(text)
            if -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
                return value
        self.suspicious = True
        return _Refused("The number is too large.", "Send a whole number between -2^53 and 2^53, or a string.")

    def number(self, text: str) -> float | _Refused:
        value = float(text)
        if math.isfinite(value):
            return value
        self.suspicious = True
        return _Refused("The number is too large.", "Send a number that a 64-bit float can hold.")


def _refuse_constant(name: str) -> Any:
    raise malformed_body(f"The body is no JSON: {name} is no JSON value. Leave the field out or send null.")


def _too_deep(field: str) -> Problem:
    return invalid_input(
        FieldError(field, f"Lists and objects stand more than {MOST_DEPTH} deep.", "Send a flatter structure.")
    )


def _check_containers(raw: bytes) -> None:
    # Brackets within texts count too at first, so only what looks like too many is looked at closely.
    if raw.count(b"{") + raw.count(b"[") > MOST_CONTAINERS:
        bare = _STRING.sub(b"", raw)
        if bare.count(b"{") + bare.count(b"[") > MOST_CONTAINERS:
            raise invalid_input(
                FieldError(
                    "", f"The body holds more than {MOST_CONTAINERS:,} lists and objects.", "Send fewer at once."
                )
            )


def _problems_of(value: Any, *, look_at_values: bool) -> Iterator[FieldError]:
    waiting: list[tuple[Any, tuple[str | int, ...]]] = [(value, ())]
    while waiting:
        here, place = waiting.pop()
        if isinstance(here, (dict, list)):
            if len(place) >= MOST_DEPTH:
                raise _too_deep(pointer(*place[:3]))
            members = here.items() if isinstance(here, dict) else enumerate(here)
            waiting.extend(
                (member, (*place, name))
                for name, member in members
                if look_at_values or isinstance(member, (dict, list))
            )
        if look_at_values:
            yield from _problems_here(here, place)


def _problems_here(value: Any, place: tuple[str | int, ...]) -> Iterator[FieldError]:
    if isinstance(value, _Refused):
        yield FieldError(pointer(*place), value.message, value.remedy)
    elif isinstance(value, str) and (wrong := _wrong_in(value)):
        yield FieldError(pointer(*place), f"The text holds {wrong}.", "Remove it.")
    elif isinstance(value, _Duplicated):
        # The name itself may be what no answer can hold.
        name = value.name if _wrong_in(value.name) is None else ""
        yield FieldError(pointer(*place, name[:100]), "The name stands twice in the object.", "Send it once.")
    if isinstance(value, dict) and any(_wrong_in(name) for name in value):
        yield FieldError(pointer(*place), "A name in the object holds NUL or half of a surrogate pair.", "Rename it.")


def _wrong_in(text: str) -> str | None:
    if "\0" in text:
        return "a NUL character, which cannot be stored"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "half of a surrogate pair, which is no character"
    return None


def _check_head(meta: Mapping[str, Any], *, limit: int) -> None:
    if meta.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() not in ("", "identity"):
        raise Problem(415, "unsupported-media-type", "A compressed body is not read. Send it without Content-Encoding.")
    length = meta.get("CONTENT_LENGTH") or "0"
    if length.isdecimal() and int(length[:20]) > limit:
        raise body_too_large(limit)


def _read_whole(stream: IO[bytes], meta: Mapping[str, Any], *, limit: int) -> bytes:
    _check_head(meta, limit=limit)
    blocks: list[bytes] = []
    room = limit + 1
    while room > 0 and (block := _read(stream, min(_BLOCK_BYTES, room))):
        blocks.append(block)
        room -= len(block)
    if room <= 0:
        raise body_too_large(limit)
    return b"".join(blocks)


def _read(stream: IO[bytes], size: int) -> bytes:
    if not connection.in_atomic_block:
        # A body comes at the client's speed; meanwhile others may have the connection.
        connection.close()
    try:
        return stream.read(size)
    except (UnreadablePostError, OSError):
        raise malformed_body("The body broke off.") from None


def _lines(stream: IO[bytes], *, limit: int) -> Iterator[Line]:
    for number, raw in enumerate(_raw_lines(stream, limit=limit), start=1):
        if raw is None:
            error = FieldError("", f"The line holds more than {MOST_LINE_BYTES:,} bytes.", "Send a shorter one.")
            yield Line(number, errors=(error,))
        elif raw.strip():
            yield replace(_line(number, raw), size=len(raw))


def _line(number: int, raw: bytes) -> Line:
    try:
        return Line(number, parse_json(raw))
    except Problem as problem:
        if problem.errors:
            return Line(number, errors=tuple(problem.errors))
        detail = problem.detail.replace("The body", "The line").replace("see line 1, ", "see ")
        return Line(number, errors=(FieldError("", detail, "Send one JSON value on each line, in UTF-8."),))


def _raw_lines(stream: IO[bytes], *, limit: int) -> Iterator[bytes | None]:
    """The lines without their ends, None for one that is too long. No more than a line and a block is in memory."""
    read = 0
    rest = bytearray()
    skipping = False
    while block := _read(stream, _BLOCK_BYTES):
        read += len(block)
        if read > limit:
            raise body_too_large(limit)
        *ended, last = block.split(b"\n")
        for piece in ended:
            rest += piece
            yield None if skipping or len(rest) > MOST_LINE_BYTES else bytes(rest)
            rest.clear()
            skipping = False
        rest += last
        if len(rest) > MOST_LINE_BYTES:
            rest.clear()
            skipping = True
    if skipping or rest:
        yield None if skipping else bytes(rest)
