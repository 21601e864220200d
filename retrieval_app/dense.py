"""Dense retrieval within one profile: the dot product of given vectors (LaMP reference §3)."""

import numpy as np
from numpy.typing import NDArray

from retrieval_app.ranking import order_by_score


def dense_scores(query: NDArray[np.floating], documents: NDArray[np.floating]) -> NDArray[np.float64]:
    """Dot product of `query` (dimension) with each row of `documents` (documents × dimension), in float64.

    Each row is summed in the same order wherever it stands, so equal vectors score equal to the bit; a matrix product
    of BLAS doesn't promise that, and repeated documents must tie.
    """
    if documents.ndim != 2 or query.shape != documents.shape[1:]:
        raise ValueError(f"a query of shape {query.shape} doesn't fit documents of shape {documents.shape}")
    scores: NDArray[np.float64] = np.einsum(
        "ij,j->i",
        np.ascontiguousarray(documents, dtype=np.float64),
        np.ascontiguousarray(query, dtype=np.float64),
        optimize=False,
    )
    return scores


def dense_order(query: NDArray[np.floating], documents: NDArray[np.floating]) -> list[int]:
    """Positions, best first, with the tie rule of every retriever."""
    return order_by_score(dense_scores(query, documents))
