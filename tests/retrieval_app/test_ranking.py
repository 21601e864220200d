"""One tie rule for every retriever: of equal scores, the later document first."""

import numpy as np
import pytest

from retrieval_app.ranking import Ranked, best, order_by_score


@pytest.mark.parametrize(
    ("scores", "order"),
    [
        ([], []),
        ([1.0], [0]),
        ([1.0, 3.0, 2.0], [1, 2, 0]),
        ([1.0, 1.0, 1.0], [2, 1, 0]),
        ([0.0, -0.0, 0.0], [2, 1, 0]),
        ([2.0, 5.0, 2.0, 5.0], [3, 1, 2, 0]),
    ],
)
def test_order(scores, order):
    assert order_by_score(scores) == order


def test_many_ties_keep_the_rule():
    """An unstable sort would show from seventeen equal elements on."""
    assert order_by_score(np.zeros(1000)) == list(reversed(range(1000)))


@pytest.mark.parametrize(("k", "found"), [(0, 0), (2, 2), (3, 3), (4, 3)])
def test_there_are_the_smaller_of_k_and_n(k, found):
    assert len(best([1.0, 2.0, 3.0], k)) == found


def test_the_best_come_with_their_scores():
    assert best([1.0, 3.0, 2.0], 2) == [Ranked(1, 3.0), Ranked(2, 2.0)]


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="not a number"):
        order_by_score([1.0, float("nan")])
