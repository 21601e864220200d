"""Strict JSON within bounds: what cannot be stored, or is read differently elsewhere, is refused with its place."""

import io
import json
import tracemalloc
from contextlib import suppress

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from common.api.parsers import MOST_CONTAINERS, MOST_DEPTH, MOST_LINE_BYTES, NDJSONParser, parse_json
from common.api.problems import Problem

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def refusal(raw):
    """The problem that `raw` makes: its slug, and the places it names."""
    with pytest.raises(Problem) as raised:
        parse_json(raw if isinstance(raw, bytes) else raw.encode())
    problem = raised.value
    assert problem.status == 400
    assert all(error.remedy for error in problem.errors)
    return problem.slug, [error.field for error in problem.errors]


@given(VALUES)
def test_ordinary_json_is_read_as_it_is(value):
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    "raw",
    ["", " ", "{", '{"a": }', "{'a': 1}", '{"a": 1,}', "[1] [2]", "NaN", "[Infinity]", "[-Infinity]", '{"a": NaN}',
     "01", '"a\tb"', '"\\x"', "tru", b"\xff", b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}", '{"a": 1}'.encode("utf-16")],
)  # fmt: skip
def test_what_is_no_json_is_malformed(raw):
    assert refusal(raw) == ("malformed-body", [])


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ('{"a": [1, 9007199254740993]}', "/a/1"),
        ('{"a": -99999999999999999999}', "/a"),
        ('{"a": ' + "9" * 100_000 + "}", "/a"),
        ('{"a": 1e999}', "/a"),
        ('[-1e400]', "/0"),
        (r'{"a": {"b": "x\u0000y"}}', "/a/b"),
        (r'["\ud800"]', "/0"),
        (r'["\udc00\ud800"]', "/0"),
        (r'{"a": {"x\u0000": 1}}', "/a"),
        (r'{"\ud800": 1}', ""),
        ('{"a": {"b": 1, "b": 2}}', "/a/b"),
        ('{"a/b~c": {"d": 1, "d": 1}}', "/a~1b~0c/d"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_at_its_place(raw, place):
    assert refusal(raw) == ("invalid-input", [place])


def test_every_such_place_is_named():
    assert set(refusal(r'{"a": "\u0000", "b": 1e999, "c": {"d": 1, "d": 2}}')[1]) == {"/a", "/b", "/c/d"}


def test_whole_pairs_of_surrogates_are_characters():
    assert parse_json(rb'["\ud83c\udf39"]') == ["🌹"]


def test_escaped_backslashes_are_no_escapes():
    assert parse_json(rb'["\\u0000", "\\ud800"]') == [r"\u0000", r"\ud800"]


def test_depth_has_a_bound():
    assert parse_json(("[" * MOST_DEPTH + "]" * MOST_DEPTH).encode())
    assert refusal("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1))[0] == "invalid-input"
    assert refusal('{"a":' * 50_000 + "1" + "}" * 50_000)[0] == "invalid-input"
    assert refusal("[" * 90_000)[0] in ("invalid-input", "malformed-body")


def test_the_number_of_lists_and_objects_has_a_bound():
    assert refusal("[" + "{}," * MOST_CONTAINERS + "{}]") == ("invalid-input", [""])


def test_brackets_within_texts_do_not_count():
    text = '{"' * MOST_CONTAINERS
    assert parse_json(json.dumps([text]).encode()) == [text]


def test_a_large_body_of_empty_objects_takes_little_memory():
    raw = b"[" + b"{}," * 3_000_000 + b"{}]"
    tracemalloc.start()
    try:
        refusal(raw)
        assert tracemalloc.get_traced_memory()[1] < 8 * len(raw)
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(max_examples=300)
def test_any_bytes_give_a_value_or_a_problem(raw):
    with suppress(Problem):
        parse_json(raw)


# JSON lines


class Request:
    META: dict = {}


def lines(raw):
    stream = io.BytesIO(raw) if isinstance(raw, bytes) else raw
    return NDJSONParser().parse(stream, parser_context={"request": Request})


def test_lines_are_numbered_and_empty_ones_passed_over():
    assert [(line.number, line.value) for line in lines(b'1\n\n{"a": 2}\r\n  \n"x"')] == [
        (1, 1),
        (3, {"a": 2}),
        (5, "x"),
    ]


def test_a_line_that_cannot_be_read_comes_with_its_errors():
    good, bad, wrong, last = lines(b'1\n{"a":\n{"a": 1e999}\n2\n')
    assert (good.value, last.value) == (1, 2)
    assert bad.errors[0].message.startswith("The line is no JSON: see column")
    assert wrong.errors[0].field == "/a"


def test_a_line_that_is_too_long_is_skipped():
    raw = b"1\n" + b'"' + b"x" * (3 * MOST_LINE_BYTES) + b'"\n2\n' + b"y" * (MOST_LINE_BYTES + 1)
    assert [(line.value, len(line.errors)) for line in lines(raw)] == [(1, 0), (None, 1), (2, 0), (None, 1)]


def test_a_line_of_the_longest_kind_is_read():
    text = "x" * (MOST_LINE_BYTES - 2)
    assert [line.value for line in lines(f'"{text}"\n'.encode())] == [text]


def test_a_stream_beyond_the_limit_ends_with_a_problem(settings):
    settings.API_MAX_STREAM_BYTES = 100_000
    found = []
    with pytest.raises(Problem) as raised:
        found.extend(line.value for line in lines(Endless()))
    assert raised.value.status == 413


def test_lines_are_read_as_they_come():
    stream = Endless()
    [next(iter(lines(stream))) for _ in range(1)]
    assert stream.read_bytes <= 2**16


class Endless:
    """A client that never ends."""

    read_bytes = 0

    def read(self, size):
        self.read_bytes += size
        line = b'{"a": "' + b"x" * 1014 + b'"}\n'
        return line * (size // len(line))


def test_memory_stays_flat_over_a_long_stream(settings):
    settings.API_MAX_STREAM_BYTES = 4_000_000
    tracemalloc.start()
    try:
        with pytest.raises(Problem):
            for _ in lines(Endless()):
                pass
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_text_that_is_never_closed_is_looked_through_once():
    """Else it would take hours."""
    assert refusal(b"[" * (MOST_CONTAINERS + 1) + b'"' + rb"\"" * 100_000)[0] in ("malformed-body", "invalid-input")


@pytest.mark.django_db(transaction=True)
def test_while_a_body_comes_no_connection_is_held():
    class Slow(io.BytesIO):
        def read(self, size=-1):
            held.append(connection.connection is not None)
            return super().read(size)

    held = []
    connection.ensure_connection()
    assert list(NDJSONParser().parse(Slow(b"1\n2\n"), parser_context={"request": Request()}))
    assert held
    assert not any(held)
