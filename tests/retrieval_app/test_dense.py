"""Dense retrieval is the dot product, and equal vectors tie."""

import numpy as np
import pytest

from retrieval_app.dense import dense_order, dense_scores


def test_scores_are_dot_products_without_normalisation():
    documents = np.array([[1, 0], [10, 0], [0, 5]], dtype=np.float32)
    assert dense_scores(np.array([2, 1], dtype=np.float32), documents).tolist() == [2.0, 20.0, 5.0]


@pytest.mark.parametrize("dimension", [3, 64, 127, 768])
def test_equal_documents_tie_wherever_they_stand(dimension):
    draw = np.random.default_rng(dimension)
    query, vector = draw.normal(size=(2, dimension)).astype(np.float32)
    for size in range(1, 40):
        scores = dense_scores(query, np.tile(vector, (size, 1)))
        assert len(set(scores.tolist())) == 1
        assert dense_order(query, np.tile(vector, (size, 1))) == list(reversed(range(size)))


def test_scores_equal_the_sum_in_double_precision():
    draw = np.random.default_rng(0)
    query, documents = draw.normal(size=64).astype(np.float32), draw.normal(size=(20, 64)).astype(np.float32)
    exact = documents.astype(np.float64) @ query.astype(np.float64)
    np.testing.assert_allclose(dense_scores(query, documents), exact, rtol=1e-13)


def test_no_documents_have_no_order():
    assert dense_order(np.ones(4), np.ones((0, 4))) == []


def test_vectors_of_another_dimension_are_refused():
    with pytest.raises(ValueError, match="shape"):
        dense_scores(np.ones(4), np.ones((2, 5)))
