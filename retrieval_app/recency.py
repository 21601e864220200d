"""Recency: the newest documents first (LaMP reference §3)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lamp.dates import date_key
from retrieval_app.ranking import order_by_score


class NoDates(ValueError):
    """A profile whose documents don't all have a date can't be ordered by it."""

    safe_message = True


def recency_scores(dates: Sequence[str | int | None]) -> NDArray[np.float64]:
    """A score a document: how many distinct dates of the profile are older, so 0 for the oldest, equal for equal dates.

    Dates order as tuples of ints. Raises `NoDates` where one is missing, `ValueError` where one is no date.
    """
    missing = sum(date is None for date in dates)
    if missing:
        raise NoDates(
            f"{missing} of {len(dates)} documents have no date, so they can't be ordered by recency "
            "(the user-based separation has no dates)"
        )
    keys = [date_key(date) for date in dates if date is not None]
    rank = {key: position for position, key in enumerate(sorted(set(keys)))}
    return np.array([rank[key] for key in keys], dtype=np.float64)


def recency_order(dates: Sequence[str | int | None]) -> list[int]:
    """Positions, newest first; of equal dates the later document first. Raises as `recency_scores`."""
    return order_by_score(recency_scores(dates))
