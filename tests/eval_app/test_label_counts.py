import numpy as np
import pytest

from eval_app.label_counts import count_labels, macro_f1


def test_counts_by_user_and_label():
    counts = count_labels(
        users=np.array([0, 0, 1]),
        predicted=np.array([1, -1, 0]),  # right, no label, wrong
        gold=np.array([1, 0, 1]),
        user_count=2,
        label_count=2,
    )
    assert counts.hits.tolist() == [[0, 1], [0, 0]]
    assert counts.predictions.tolist() == [[0, 1], [1, 0]]
    assert counts.golds.tolist() == [[1, 1], [0, 1]]


def test_macro_f1_by_hand():
    # label 0: 2·1 / (1 + 2), label 1: 2·2 / (3 + 2), label 2: nobody has or predicts it
    assert float(macro_f1([1, 2, 0], [1, 3, 0], [2, 2, 0])) == pytest.approx((2 / 3 + 4 / 5 + 0) / 3)


def test_macro_f1_of_many_draws_at_once():
    hits = np.array([[1, 0], [1, 1]])
    predictions = np.array([[2, 0], [1, 1]])
    assert macro_f1(hits, predictions, np.array([1, 1])).tolist() == pytest.approx([(2 / 3 + 0) / 2, 1.0])
