"""The benchmarks' users: as long and as many as in LaMP-7, in texts of exactly those lengths."""

import statistics
from itertools import chain

import pytest

from benchmarks.workloads import (
    COLD_START_DOCUMENTS,
    TWEET_WORDS,
    Quantiles,
    cold_start_users,
    lamp_7_users,
    one_token_words,
    texts,
)
from tests.workers.engine.models import words_tokenizer


def test_a_distribution_is_straight_between_its_quantiles():
    sizes = Quantiles(((0.0, 1), (0.5, 3), (1.0, 11)))
    assert [sizes.at(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)] == [1, 2, 3, 7, 11]


def test_profiles_are_as_large_as_in_lamp_7():
    sizes = [len(pairs) for pairs in lamp_7_users(1000)]
    assert statistics.mean(sizes) == pytest.approx(17.28, rel=0.05)
    assert statistics.stdev(sizes) == pytest.approx(12.60, rel=0.1)


def test_tweets_are_as_long_as_in_lamp_7():
    words = [TWEET_WORDS.at((place + 0.5) / 1000) for place in range(1000)]
    assert statistics.mean(words) == pytest.approx(16.96, rel=0.02)
    assert statistics.stdev(words) == pytest.approx(5.68, rel=0.05)


def test_a_few_users_are_spread_over_the_whole_distribution():
    few, many = ([len(pairs) for pairs in lamp_7_users(count)] for count in (16, 1000))
    assert statistics.mean(few) == pytest.approx(statistics.mean(many), rel=0.05)


def test_users_may_be_cut_at_a_number_of_pairs():
    assert max(len(pairs) for pairs in lamp_7_users(16, most=12)) == 12


def test_cold_start_users_have_few_documents():
    assert sorted(len(pairs) for pairs in cold_start_users(8)) == [1, 1, 2, 2, 3, 3, 4, COLD_START_DOCUMENTS]


def test_the_same_seed_gives_the_same_users():
    assert lamp_7_users(16, seed=3) == lamp_7_users(16, seed=3) != lamp_7_users(16, seed=4)


def test_texts_have_exactly_the_lengths_asked_for():
    users, tokenizer = lamp_7_users(4), words_tokenizer()
    lengths = [len(tokens) for tokens in tokenizer(_flat(texts(users, tokenizer)))["input_ids"]]
    assert lengths == list(chain.from_iterable(chain.from_iterable(users)))


def test_words_that_a_tokenizer_splits_are_left_out():
    class Letters:
        """A token a letter, but "lamp" is one, and an end token."""

        pieces = ("lamp", "ing", "p")

        def __len__(self):
            return len(self.pieces)

        def decode(self, tokens):
            return self.pieces[tokens[0]]

        def __call__(self, given):
            return {"input_ids": [[*chain.from_iterable(map(self._tokens, text.split())), "</s>"] for text in given]}

        def _tokens(self, word):
            return [word] if word in ("lamp", "p") else list(word)

    assert one_token_words(Letters()) == ["lamp", "p"]


def _flat(users):
    return list(chain.from_iterable(chain.from_iterable(users)))
