"""BM25 over one profile, indexed once: the scores of `rank_bm25.BM25Okapi`, to the bit (LaMP reference §3).

`BM25Okapi` computes every term's weight in every document anew for each query. Here the weights are computed once, by
the same operations in the same order, and a query only adds up the postings of its words, in the order of its words.
"""

import math
import sys
from collections import Counter, OrderedDict
from collections.abc import Hashable, Sequence
from itertools import chain
from threading import Lock

import numpy as np
from numpy.typing import NDArray

K1 = 1.5
B = 0.75
EPSILON = 0.25


class BM25Index:
    """The index of one profile's texts, split at whitespace, case kept; immutable, so threads may share it.

    >>> BM25Index(["a rainy day", "a sunny day", "night"]).scores("sunny night").round(3).tolist()
    [0.0, 0.451, 0.667]
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.size = len(texts)
        """How many documents there are."""
        positions: dict[str, list[int]] = {}
        counts: dict[str, list[int]] = {}
        lengths = []
        for position, text in enumerate(texts):
            words = text.split()
            lengths.append(len(words))
            for word, count in Counter(words).items():
                if word in positions:
                    positions[word].append(position)
                    counts[word].append(count)
                else:
                    positions[word], counts[word] = [position], [count]
        # A word's postings stand side by side: `positions[span]` are its documents, `weights[span]` what it adds there.
        self._spans: dict[str, slice] = {}
        end = 0
        for word, where in positions.items():
            self._spans[word] = slice(end, end + len(where))
            end += len(where)
        self._positions = np.fromiter(chain.from_iterable(positions.values()), dtype=np.intp, count=end)
        self._weights = _weights(
            positions=self._positions,
            counts=np.fromiter(chain.from_iterable(counts.values()), dtype=np.int64, count=end),
            document_counts=[len(where) for where in positions.values()],
            lengths=lengths,
        )
        self.nbytes = _size_of(self._spans) + self._positions.nbytes + self._weights.nbytes + sys.getsizeof(self)
        """What the index holds in memory, in bytes; words may be counted though others share them."""

    def scores(self, query: str) -> NDArray[np.float64]:
        """One score a document; all zero for a profile or a query without any known word."""
        span_of = self._spans.get
        spans = [span for word in query.split() if (span := span_of(word)) is not None]
        if not spans:
            return np.zeros(self.size)
        # bincount adds in the order given, so each document's sum is made in the order of the query's words.
        scores = np.bincount(
            np.concatenate([self._positions[span] for span in spans]),
            np.concatenate([self._weights[span] for span in spans]),
            self.size,
        )
        return scores.astype(np.float64, copy=False)


def _weights(
    *, positions: NDArray[np.intp], counts: NDArray[np.int64], document_counts: list[int], lengths: list[int]
) -> NDArray[np.float64]:
    """idf · tf of each posting, by the operations of `BM25Okapi.get_scores` in their order."""
    if not document_counts:
        return np.zeros(0)
    mean_length = sum(lengths) / len(lengths)
    norm = K1 * (1 - B + B * np.array(lengths) / mean_length)
    idf = np.repeat(_idf(document_counts, size=len(lengths)), document_counts)
    weights: NDArray[np.float64] = idf * (counts * (K1 + 1) / (counts + norm[positions]))
    return weights


def _idf(document_counts: list[int], *, size: int) -> list[float]:
    """The idf of each word, words in order of first appearance: the mean is summed in that order.

    A word in more than half of the documents has a negative idf and gets `EPSILON` times the mean instead.
    """
    of_count = {count: math.log(size - count + 0.5) - math.log(count + 0.5) for count in set(document_counts)}
    idf = [of_count[count] for count in document_counts]
    total = 0.0
    for value in idf:  # not sum(): newer Pythons sum floats with compensation, and the last bit would differ
        total += value
    floor = EPSILON * (total / len(idf))
    return [floor if value < 0 else value for value in idf]


def _size_of(spans: dict[str, slice]) -> int:
    a_span = sys.getsizeof(slice(0, 0)) + 2 * sys.getsizeof(1 << 30)
    return sys.getsizeof(spans) + sum(map(sys.getsizeof, spans)) + len(spans) * a_span


class BM25Cache:
    """Indexes by key, at most `max_bytes` of them together; the least recently used go first. Threads may share it.

    Whoever puts an index must name it by its content, or discard it when the profile changes.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._indexes: OrderedDict[Hashable, tuple[BM25Index, int]] = OrderedDict()
        self._nbytes = 0
        self._lock = Lock()

    def get(self, key: Hashable) -> BM25Index | None:
        """The index put under `key`, now the most recently used; None where there is none any more."""
        with self._lock:
            found = self._indexes.get(key)
            if found is None:
                return None
            self._indexes.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, index: BM25Index) -> None:
        """Keep `index` under `key`, evicting others for it; one that alone exceeds the bound isn't kept."""
        size = index.nbytes + _size_of_key(key)
        with self._lock:
            self._forget(key)
            if size > self.max_bytes:
                return
            while self._nbytes + size > self.max_bytes:
                _, (_, freed) = self._indexes.popitem(last=False)
                self._nbytes -= freed
            self._indexes[key] = (index, size)
            self._nbytes += size

    def discard(self, key: Hashable) -> None:
        """Forget the index under `key`, if there is one."""
        with self._lock:
            self._forget(key)

    def clear(self) -> None:
        """Forget every index."""
        with self._lock:
            self._indexes.clear()
            self._nbytes = 0

    def by_use(self) -> list[Hashable]:
        """The keys, the least recently used first."""
        with self._lock:
            return list(self._indexes)

    def __len__(self) -> int:
        return len(self._indexes)

    @property
    def nbytes(self) -> int:
        """Bytes of all indexes and keys; never more than `max_bytes`."""
        return self._nbytes

    def _forget(self, key: Hashable) -> None:
        found = self._indexes.pop(key, None)
        if found is not None:
            self._nbytes -= found[1]


def _size_of_key(key: Hashable) -> int:
    inner = sum(map(_size_of_key, key)) if isinstance(key, tuple) else 0
    return sys.getsizeof(key) + inner
