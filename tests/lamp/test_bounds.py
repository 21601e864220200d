import io
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamp.bounds import GOLDS, MIB, QUESTIONS, BoundedFile, Bounds, OutOfBounds

SMALL = Bounds(
    opens_with=b"[", form="a list of questions", depth=4, row_depth=2, string_bytes=50, row_bytes=2000, row_values=100
)


def read_all(content: bytes, *, bounds=QUESTIONS, size=64) -> bytes:
    file = BoundedFile(io.BytesIO(content), bounds)
    pieces = []
    while piece := file.read(size):
        pieces.append(piece)
    return b"".join(pieces)


def fault(content: bytes, *, bounds=QUESTIONS, size=64) -> OutOfBounds:
    with pytest.raises(OutOfBounds) as caught:
        read_all(content, bounds=bounds, size=size)
    return caught.value


text_in_json = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
rows = st.lists(
    st.fixed_dictionaries(
        {"id": text_in_json, "profile": st.lists(st.dictionaries(text_in_json, text_in_json, max_size=3), max_size=3)}
    )
)


@settings(deadline=None)
@given(rows, st.booleans(), st.integers(1, 40))
def test_a_good_file_comes_through_unchanged_however_it_is_cut(rows, ascii_only, size):
    content = json.dumps(rows, ensure_ascii=ascii_only).encode()
    assert read_all(content, size=size) == content


@settings(deadline=None)
@given(
    rows,
    st.integers(1, 40),
    st.text(st.sampled_from('\\"[]{},a😀'), max_size=12),
    st.sampled_from(["\0", "\ud800", "\udc00", "\udc00\ud800"]),
)
def test_what_no_database_can_hold_is_found_however_the_file_is_cut(rows, size, before, bad):
    content = json.dumps([*rows, {"id": "1", "input": before + bad + "x"}]).encode()
    found = fault(content, size=size)
    assert found.row == len(rows) + 1
    assert content[found.offset : found.offset + 2] == b"\\u"


@settings(deadline=None)
@given(st.integers(1, 40), st.sampled_from([b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf0\x9f\x98"]))
def test_bytes_that_are_not_utf_8_are_found_where_they_stand(size, bad):
    before = '[{"id": "é😀'.encode()
    offset = fault(before + bad + b'"}]', size=size).offset
    assert len(before) <= offset <= len(before + bad)


def test_a_backslash_before_an_escape_is_a_backslash():
    content = rb'[{"id": "\\ud800 \\u0000 \\\\"}]'
    assert read_all(content) == content


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_string_at_the_bound_passes(size):
    content = json.dumps([{"id": "x" * 50}]).encode()
    assert read_all(content, bounds=SMALL, size=size) == content


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_string_beyond_the_bound_is_found(size):
    content = json.dumps([{"id": "1"}, {"id": "x" * 51}]).encode()
    found = fault(content, bounds=SMALL, size=size)
    assert (found.row, found.offset) == (2, content.index(b'"xxx'))


def test_a_string_without_end_is_refused_before_it_is_held():
    class Endless:
        served = 0

        def read(self, size):
            self.served += size
            return b"x" * size if self.served > size else b'[{"id": "' + b"x" * (size - 9)

    source = Endless()
    file = BoundedFile(source, QUESTIONS)

    def read_on():
        while file.read(65536):
            pass

    with pytest.raises(OutOfBounds, match="longer than 1 MiB"):
        read_on()
    assert source.served <= MIB + 3 * 65536


@pytest.mark.parametrize("content", [b'[{"a": [{"b": []}]}]', b"[" * 100_000, b'[{"a": [{"b": {"c": 1}}]}]'])
def test_nesting_beyond_the_format_is_refused(content):
    assert "deeper than the format" in fault(content).message


def test_brackets_inside_strings_do_not_nest():
    content = json.dumps([{"id": '[[[[{{{{"[[['}]).encode()
    assert read_all(content) == content


@pytest.mark.parametrize("size", [1, 64, 1000])
def test_a_question_of_too_many_bytes_is_refused(size):
    entries = [{"text": "x" * 40} for _ in range(40)]
    bounds = replace(SMALL, row_values=10_000)
    found = fault(json.dumps([{"id": "1"}, {"id": "2", "profile": entries}]).encode(), bounds=bounds, size=size)
    assert (found.row, found.message) == (2, "one question of more than 0 MiB")


@pytest.mark.parametrize("profile", [[1] * 120, [{}] * 120, [{str(n): 1 for n in range(120)}]])
def test_a_question_of_too_many_values_is_refused(profile):
    found = fault(json.dumps([{"id": "1"}, {"id": "2", "profile": profile}]).encode(), bounds=SMALL)
    assert (found.row, found.message) == (2, "one question of more than 100 values")


def test_many_questions_below_the_bounds_pass():
    content = json.dumps([{"id": "x" * 40, "profile": [{"text": "y" * 40}] * 20} for _ in range(50)]).encode()
    assert read_all(content, bounds=SMALL, size=333) == content


@pytest.mark.parametrize(
    ("bounds", "content", "message"),
    [
        (QUESTIONS, b'{"id": 1}', "an object where a list of questions belongs"),
        (GOLDS, b"[1]", 'a list where an object with "task" and "golds" belongs'),
        (QUESTIONS, b"hello", "not JSON"),
        (QUESTIONS, b"\xef\xbb\xbf[]", "a byte order mark before the JSON"),
        (QUESTIONS, b"\xff\xfe[\0]\0", "a byte order mark before the JSON"),
    ],
)
def test_a_file_that_begins_as_another_is_refused(bounds, content, message):
    assert fault(content, bounds=bounds).message == message
