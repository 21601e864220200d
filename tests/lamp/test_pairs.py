"""CONVERT, to the character."""

import dataclasses
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamp.catalogue import CATALOGUE, LAMP_4, LAMP_7
from lamp.pairs import TrainingPair, pair_of, split_text
from tests.lamp.golden_files import KEYS, golden


@pytest.mark.parametrize("key", KEYS)
def test_golden_pairs(key):
    for document in golden(key)["documents"]:
        assert pair_of(CATALOGUE[key], document["fields"]) == TrainingPair(**document["pair"])


def test_a_tweet_gives_the_same_pair_whatever_stands_beside_its_text():
    text = " ".join(f"word{number}" for number in range(100))
    assert pair_of(LAMP_7, {"text": text}) == pair_of(LAMP_7, {"text": text, "date": "2009"})


def test_the_draw_stays_what_it_is():
    """A changed draw would change every adapter of the task."""
    text = " ".join(f"word{number}" for number in range(1000))
    assert len(split_text(text)[0].split()) == 146


def test_draws_spread_over_the_whole_range():
    sizes = [len(split_text(" ".join([str(number)] * 1000))[0].split()) for number in range(1000)]
    assert 100 <= min(sizes) < 102
    assert 248 <= max(sizes) < 250
    assert 170 < sum(sizes) / len(sizes) < 180


@settings(deadline=None, derandomize=True)
@given(st.lists(st.text(alphabet="ab💡&;", min_size=1), min_size=2, max_size=60))
def test_the_parts_are_the_words_and_none_is_empty(words):
    first, second = split_text("\t" + " \u2003 ".join(words) + "\n")
    assert [*first.split(" "), *second.split(" ")] == words
    size = len(first.split(" "))
    assert max(1, floor(0.1 * len(words))) <= size <= max(1, floor(0.25 * len(words)))


def test_the_only_word_is_asked_and_answered():
    assert split_text(" yay ") == ("yay", "yay")


@pytest.mark.parametrize("text", ["", " \t\n"])
def test_where_there_is_no_word_both_parts_are_empty(text):
    assert split_text(text) == ("", "")


def test_a_task_without_a_form_completes_its_documents_texts():
    task = dataclasses.replace(LAMP_4, pair=None)
    assert pair_of(task, {"title": "Rain", "text": "falls"}) == ("Complete the following text: Rain", "falls")
