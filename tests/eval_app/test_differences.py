"""Differences of two texts, word by word."""

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from eval_app.differences import MOST_WORDS, Change, Part, differences

few_words = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=7).map(" ".join)
texts = st.text(alphabet="ab \n\t<é", max_size=40)


def words(parts, *changes):
    return [word for part in parts if part.change in changes for word in part.text.split()]


def most_in_common(one, other):
    """The length of the longest list of words that both texts have in this order, tried out."""
    one, other = one.split(), other.split()

    def stands_in(some):
        rest = iter(other)
        return all(word in rest for word in some)

    return next(n for n in range(len(one), -1, -1) if any(map(stands_in, combinations(one, n))))


def test_a_word_that_was_replaced_is_missing_and_another_added():
    assert differences("red roses again", "red tulips again") == [
        Part(Change.SAME, "red"),
        Part(Change.MISSING, "roses"),
        Part(Change.ADDED, "tulips"),
        Part(Change.SAME, "again"),
    ]


def test_equal_texts_are_one_part_whatever_the_blanks():
    assert differences(" red  roses\n", "red roses") == [Part(Change.SAME, "red roses")]


def test_nothing_against_nothing_has_no_part():
    assert differences("", " ") == []


def test_a_text_that_is_too_long_is_not_compared():
    long = "word " * (MOST_WORDS + 1)
    assert (differences(long, "word"), differences("word", long)) == (None, None)
    assert differences("word " * MOST_WORDS, "word") is not None


@given(gold=texts, output=texts)
def test_both_texts_can_be_read_off_the_parts(gold, output):
    parts = differences(gold, output)
    assert words(parts, Change.SAME, Change.MISSING) == gold.split()
    assert words(parts, Change.SAME, Change.ADDED) == output.split()


@given(gold=few_words, output=few_words)
def test_as_much_is_the_same_as_can_be(gold, output):
    parts = differences(gold, output)
    assert len(words(parts, Change.SAME)) == most_in_common(gold, output)


@given(gold=texts, output=texts)
def test_neighbouring_parts_differ_and_none_is_empty(gold, output):
    parts = differences(gold, output)
    assert all(one.change != following.change for one, following in pairwise(parts))
    assert all(part.text for part in parts)


@given(gold=texts, output=texts)
def test_what_is_missing_comes_before_what_was_added_there(gold, output):
    changes = [part.change for part in differences(gold, output)]
    assert (Change.ADDED, Change.MISSING) not in pairwise(changes)
