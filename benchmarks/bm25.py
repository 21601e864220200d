"""A BM25 query over one profile: the kept index against `rank_bm25.BM25Okapi`, rebuilt for each query.

Rebuilding is how rank_bm25 is used on LaMP, where each question brings its profile. The index is built once and kept,
so its building isn't timed: a profile's first query costs about as much as the baseline's.
Both give equal scores, which is asserted before the clock counts. Repeat with `python -m benchmarks bm25`.
"""

import random
from itertools import accumulate, cycle

import numpy as np
from numpy.typing import NDArray
from rank_bm25 import BM25Okapi

from benchmarks.figures import Figure, side_by_side
from retrieval_app.bm25 import BM25Index

PROFILE_SIZES = (16, 100, 200, 1000)
DOCUMENT_WORDS = (15, 45)
QUERY_WORDS = (12, 28)
VOCABULARY = 20_000
QUERIES = 20
ROUNDS = 21


def run() -> list[Figure]:
    return [_query(size) for size in PROFILE_SIZES]


def _query(size: int) -> Figure:
    texts, queries = _profile(size)
    index = BM25Index(texts)
    for query in queries[: QUERIES if size < 1000 else 3]:
        assert np.array_equal(_rebuilt(texts, query), index.scores(query)), "the scores differ"
    for_baseline, for_ours = cycle(queries), cycle(queries)
    # The fast side takes many queries a round, so that it is not timed below the clock's resolution.
    timing = side_by_side(
        lambda: _rebuilt(texts, next(for_baseline)),
        lambda: index.scores(next(for_ours)),
        rounds=ROUNDS,
        baseline_calls=max(1, 1000 // size),
        our_calls=QUERIES * 10,
    )
    return Figure(
        name=f"bm25_query_{size}",
        ratio=timing.ratio,
        median=timing.ours * 1e6,
        unit="µs a query",
        detail=f"{size} documents, kept index against rank_bm25 rebuilt: {timing.baseline * 1e6:,.0f} µs, equal scores",
    )


def _rebuilt(texts: list[str], query: str) -> NDArray[np.float64]:
    return BM25Okapi([text.split() for text in texts]).get_scores(query.split())


def _profile(size: int) -> tuple[list[str], list[str]]:
    """Documents of about 30 words and queries of about 20, the words' frequencies as in English (Zipf)."""
    draw = random.Random(size)
    words = [_word(number) for number in range(VOCABULARY)]
    frequencies = list(accumulate(1 / (rank + 2.7) for rank in range(VOCABULARY)))

    def text(lengths: tuple[int, int]) -> str:
        return " ".join(draw.choices(words, cum_weights=frequencies, k=draw.randint(*lengths)))

    return [text(DOCUMENT_WORDS) for _ in range(size)], [text(QUERY_WORDS) for _ in range(QUERIES)]


def _word(number: int) -> str:
    """A made-up word; frequent ones are short, as in a language."""
    letters = ""
    number += 1
    while number:
        number, letter = divmod(number, 20)
        letters += "etaoinshrdlucmfwygpb"[letter]
    return letters
