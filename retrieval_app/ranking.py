"""From scores to an order: the one tie rule of every retriever (LaMP reference §3)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Ranked(NamedTuple):
    """A retrieved document: its position in the profile, and the retriever's score."""

    position: int
    score: float


def order_by_score(scores: ArrayLike) -> list[int]:
    """Positions, best first: the reversed stable argsort, so of equal scores the later position comes first.

    Raises `ValueError` where a score is not a number: it would have no place in an order.
    """
    values = np.asarray(scores, dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError("a score is not a number")
    order: list[int] = np.argsort(values, kind="stable")[::-1].tolist()
    return order


def best(scores: ArrayLike, k: int) -> list[Ranked]:
    """The best min(k, n) of n scored documents, best first."""
    values = np.asarray(scores, dtype=np.float64)
    return [Ranked(position, float(values[position])) for position in order_by_score(values)[:k]]
