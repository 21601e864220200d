"""φ_q and the documents' texts, to the character."""

import pytest

from lamp.catalogue import CATALOGUE, LAMP_1, LAMP_4, LAMP_6, LAMP_7
from lamp.queries import MissingMarker, document_text, end_of_word, input_of, query_of
from tests.lamp.golden_files import KEYS, golden


@pytest.mark.parametrize("key", KEYS)
def test_golden_query(key):
    assert query_of(CATALOGUE[key], golden(key)["input"]) == golden(key)["query"]


@pytest.mark.parametrize("key", KEYS)
def test_golden_input(key):
    assert input_of(CATALOGUE[key], golden(key)["values"]) == golden(key)["input"]


@pytest.mark.parametrize("key", KEYS)
def test_golden_document_texts(key):
    for document in golden(key)["documents"]:
        assert document_text(CATALOGUE[key], document["fields"]) == document["text"]


def lamp_1(first: str, second: str, title: str = "T") -> str:
    return input_of(LAMP_1, {"title": title, "first_reference": first, "second_reference": second})


@pytest.mark.parametrize(
    ("first", "second", "query"),
    [
        ("A", "B", "A B"),
        ("", "", " "),
        ('say "A"', '"B" said', 'say "A" "B" said'),
        ('ends with a quote"', '"', 'ends with a quote" "'),
        (" blanks stay ", " inside ", " blanks stay   inside "),
        ('[1]: "', "[1]", '[1]: " [1]'),
        ('A" [2]: "more', "B", 'A" [2]: "more B'),  # the last frame counts
    ],
)
def test_references_are_read_by_their_frame(first, second, query):
    assert query_of(LAMP_1, lamp_1(first, second)) == query


def test_the_title_does_not_disturb_the_references():
    assert query_of(LAMP_1, lamp_1("A", "B", title='On "[2]: " and "quotes"')) == "A B"


def test_blanks_after_the_final_quote_are_no_part_of_it():
    assert query_of(LAMP_1, lamp_1("A", "B") + " \n") == "A B"


@pytest.mark.parametrize(
    "text", ["", "no marker", '[1]: "A"', '[1]: "A" [2]: B', '" [2]: "B" [1]: "A"', '[1]: " [2]: "B"']
)
def test_an_input_without_its_references_is_refused(text):
    with pytest.raises(MissingMarker):
        query_of(LAMP_1, text)


def test_the_first_marker_counts():
    assert query_of(LAMP_6, "Generate a subject for the following email: a: b") == "a: b"


def test_a_query_is_stripped_of_all_whitespace():
    assert query_of(LAMP_7, "Paraphrase the following tweet without any explanation: \t\u00a0hi \n") == "hi"


@pytest.mark.parametrize("key", sorted(set(CATALOGUE) - {"LaMP-1"}))
def test_an_input_without_its_marker_is_refused_without_repeating_it(key):
    with pytest.raises(MissingMarker) as caught:
        query_of(CATALOGUE[key], "secret")
    assert "secret" not in str(caught.value)
    assert key in str(caught.value)


def test_empty_fields_leave_the_blank_between():
    assert document_text(LAMP_4, {"title": "", "text": ""}) == " "


def test_a_word_is_no_part_of_a_longer_one():
    assert end_of_word(LAMP_1, 'The untitled paper with the title "T"', "title") == len(
        "The untitled paper with the title"
    )
    with pytest.raises(MissingMarker, match="title"):
        end_of_word(LAMP_1, "untitled", "title")
