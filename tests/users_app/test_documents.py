import hashlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from users_app.documents import canonical_fields, document_date_key, document_digest

TEXTS = st.text(st.characters(codec="utf-8"))
# What a shortcut through plain texts could get wrong: escapes, line ends Unicode alone knows, formatting of its own.
ODD_TEXTS = st.text(st.sampled_from('a"\\/%s{}\b\f\n\r\t\x00\x1f\x7f\x85\u2028\ufffe😀'))
SCALARS = (
    TEXTS
    | ODD_TEXTS
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([None, True, False, 1, 1.0, -0.0, 1e16])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_TEXTS, inner, max_size=3), max_leaves=5
)
NAMES = st.text(st.characters(codec="utf-8"), max_size=8) | ODD_TEXTS
FIELDS = st.dictionaries(NAMES, TEXTS | ODD_TEXTS, max_size=5) | st.dictionaries(NAMES, VALUES, max_size=5)


@given(FIELDS)
def test_the_canonical_form_is_json_with_sorted_keys_no_blanks_and_text_as_it_is(fields):
    expected = json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert canonical_fields(fields) == expected.encode()


@given(FIELDS)
def test_the_digest_does_not_depend_on_the_order_of_the_fields(fields):
    backwards = dict(reversed(fields.items()))
    assert document_digest(fields) == document_digest(backwards)


def test_the_digest_is_the_sha256_of_the_canonical_form_in_utf_8():
    assert document_digest({"text": "🌷 “quoted”"}) == hashlib.sha256('{"text":"🌷 “quoted”"}'.encode()).digest()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"text": "a"}, {"text": "a "}),
        ({"text": "a", "date": "2019"}, {"text": "a", "date": "2020"}),
        ({"text": "a", "date": 2019}, {"text": "a", "date": "2019"}),
        ({"text": "a"}, {"text": "a", "date": None}),
        ({"text": "a", "title": "b"}, {"text": "b", "title": "a"}),
    ],
    ids=["a blank", "another date", "a number and its text", "no date and a null one", "swapped fields"],
)
def test_other_content_is_another_document(one, other):
    assert document_digest(one) != document_digest(other)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "\ud800"])
def test_what_json_cannot_hold_is_no_content(value):
    with pytest.raises(ValueError):
        canonical_fields({"score": value})


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"text": "a"}, None),
        ({"date": None}, None),
        ({"date": 2009}, [2009]),
        ({"date": "2009"}, [2009]),
        ({"date": "2017-01-07"}, [2017, 1, 7]),
    ],
)
def test_a_date_is_kept_as_the_ints_that_order_it(fields, key):
    assert document_date_key(fields) == key


def test_a_date_that_is_no_date_is_refused():
    with pytest.raises(ValueError):
        document_date_key({"date": "yesterday"})
