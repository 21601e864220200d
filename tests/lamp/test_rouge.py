import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from lamp.rouge import lcs_length, rouge, tokens

SCORER = RougeScorer(["rouge1", "rougeL"], use_stemmer=False)

texts = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(["the", "The", "cat", "cat's", "sat", "on", "mat", "2", "😀", "é", "İ", "K", "\n"])).map(
        " ".join
    ),
)


@settings(deadline=None)
@given(texts, texts)
@example("", "")
@example("", "gold")
@example("!!!", "gold")
@example("a a a b", "a b b a")
@example("K", "k")
@example("İstanbul", "i stanbul")
def test_values_equal_those_of_rouge_score_to_the_last_bit(prediction, gold):
    expected = SCORER.score(gold, prediction)
    assert rouge(prediction, gold) == (expected["rouge1"].fmeasure, expected["rougeL"].fmeasure)


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcd"), max_size=90), st.lists(st.sampled_from("abcd"), max_size=90))
def test_the_longest_common_subsequence_is_that_of_the_table(first, second):
    row = [0] * (len(second) + 1)
    for one in first:
        above = row[:]
        for place, other in enumerate(second, start=1):
            row[place] = above[place - 1] + 1 if one == other else max(above[place], row[place - 1])
    assert lcs_length(first, second) == row[-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Don't stop-me 2day!", ["don", "t", "stop", "me", "2day"]), ("", []), ("ÄÖ 😀", []), ("a_b", ["a", "b"])],
)
def test_tokens_are_runs_of_plain_letters_and_digits(text, expected):
    assert tokens(text) == expected
