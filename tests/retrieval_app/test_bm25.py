"""BM25: the scores of rank_bm25, to the bit, and a cache that keeps its bound."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from lamp.catalogue import LAMP_7
from lamp.queries import query_of
from retrieval_app.bm25 import BM25Cache, BM25Index
from retrieval_app.ranking import order_by_score

# Few words, so that they repeat; all kinds of whitespace between them.
WORDS = st.sampled_from(["a", "b", "A", "lamp", "post", "é", "e\u0301", "💡", "&amp;", "c" * 50])
BLANKS = st.sampled_from([" ", "  ", "\t", "\n", "\u00a0", "\u2003", "\x1c", "\u3000"])
TEXTS = st.lists(st.tuples(WORDS, BLANKS).map("".join), max_size=30).map("".join)


def rank_bm25(texts: list[str], query: str) -> np.ndarray:
    return BM25Okapi([text.split() for text in texts]).get_scores(query.split())


def assert_equal_to_the_bit(texts: list[str], query: str) -> None:
    expected = rank_bm25(texts, query)
    found = BM25Index(texts).scores(query)
    assert found.dtype == np.float64
    assert found.tobytes() == expected.tobytes()


@settings(deadline=None, derandomize=True)
@given(st.lists(TEXTS, min_size=1, max_size=20).filter(lambda texts: any(text.split() for text in texts)), TEXTS)
def test_scores_equal_those_of_rank_bm25(texts, query):
    assert_equal_to_the_bit(texts, query)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(["a b", "b a", "a", "", "c c c a"]), min_size=1, max_size=60), TEXTS)
def test_repeated_documents_score_as_in_rank_bm25(texts, query):
    if any(texts):
        assert_equal_to_the_bit(texts, query)


def test_scores_equal_on_long_profiles():
    draw = np.random.default_rng(0)
    texts = [" ".join(f"w{number}" for number in draw.zipf(1.3, 40) % 5000) for _ in range(400)]
    for _ in range(10):
        assert_equal_to_the_bit(texts, " ".join(f"w{number}" for number in draw.zipf(1.3, 25) % 5000))


def test_a_word_of_most_documents_gets_the_floor():
    assert_equal_to_the_bit(["a b", "a c", "a d", "e"], "a")
    assert_equal_to_the_bit(["a", "a", "a"], "a a")  # every idf is negative, and so is the floor


def test_a_repeated_query_word_counts_again():
    index = BM25Index(["lamp post", "post", "night"])
    assert index.scores("lamp lamp").tolist() == (2 * index.scores("lamp")).tolist()


def test_case_is_kept():
    assert BM25Index(["Lamp", "lamp", "x"]).scores("Lamp")[1] == 0


@pytest.mark.parametrize("texts", [[], [""], ["", " \t"], ["\u00a0"]])
def test_a_profile_without_any_word_scores_zero(texts):
    assert BM25Index(texts).scores("lamp").tolist() == [0.0] * len(texts)


@pytest.mark.parametrize("query", ["", " ", "unknown words"])
def test_a_query_without_any_known_word_scores_zero(query):
    assert BM25Index(["lamp", "post"]).scores(query).tolist() == [0.0, 0.0]


def test_real_tweets_are_ranked_as_by_rank_bm25():
    folder = os.environ.get("LAMP_DATA")
    if not folder:
        pytest.skip("LAMP_DATA is unset: it names the folder of LaMP's real data")
    questions = json.loads((Path(folder) / "LaMP_7_dev_user_based" / "dev_questions.json").read_text(encoding="utf-8"))
    for question in questions[:100]:
        texts, query = [entry["text"] for entry in question["profile"]], query_of(LAMP_7, question["input"])
        assert_equal_to_the_bit(texts, query)
        expected = np.argsort(rank_bm25(texts, query), kind="stable")[::-1]
        assert order_by_score(BM25Index(texts).scores(query)) == expected.tolist()


def test_the_cache_gives_back_what_was_put():
    cache, index = BM25Cache(max_bytes=1_000_000), BM25Index(["lamp"])
    assert cache.get("ann") is None
    cache.put("ann", index)
    assert cache.get("ann") is index
    cache.discard("ann")
    assert cache.get("ann") is None
    assert (len(cache), cache.nbytes) == (0, 0)


def test_the_least_recently_used_go_first():
    index = BM25Index(["lamp post"] * 10)
    cache = BM25Cache(max_bytes=3 * (index.nbytes + 100))
    for key in ("ann", "bob", "cyd"):
        cache.put(key, index)
    cache.get("ann")
    cache.put("dan", index)
    assert cache.by_use() == ["cyd", "ann", "dan"]


def test_an_index_beyond_the_bound_is_not_kept_and_evicts_nobody():
    small, large = BM25Index(["lamp"]), BM25Index([f"word{number}" for number in range(1000)])
    cache = BM25Cache(max_bytes=small.nbytes + 200)
    cache.put("ann", small)
    cache.put("bob", large)
    assert cache.by_use() == ["ann"]


def test_putting_again_replaces_and_counts_once():
    cache, index = BM25Cache(max_bytes=1_000_000), BM25Index(["lamp"])
    cache.put("ann", index)
    before = cache.nbytes
    cache.put("ann", index)
    assert (len(cache), cache.nbytes) == (1, before)


def test_long_keys_count_too():
    cache, index = BM25Cache(max_bytes=10_000_000), BM25Index(["lamp"])
    cache.put((1, tuple(range(10_000, 11_000))), index)
    assert cache.nbytes > index.nbytes + 1000 * 28


def test_an_index_counts_its_arrays_and_words():
    texts = [f"word{number} shared" for number in range(500)]
    assert BM25Index(texts).nbytes > 1000 * 16 + 501 * 50


def test_threads_keep_the_bound():
    indexes = [BM25Index([f"word{number}"] * (number + 1)) for number in range(20)]
    cache = BM25Cache(max_bytes=5 * max(index.nbytes for index in indexes))

    def use(seed: int) -> None:
        for step in range(300):
            number = (seed * 7 + step * 13) % len(indexes)
            found = cache.get(number)
            assert found is None or found is indexes[number]
            cache.put(number, indexes[number])
            if step % 10 == 0:
                cache.discard((number + 1) % len(indexes))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    assert 0 < cache.nbytes <= cache.max_bytes
    for key in cache.by_use():
        cache.discard(key)
    assert cache.nbytes == 0
