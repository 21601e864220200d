import pytest

from eval_app.methods import NONE, Family, parse_method
from eval_app.relative import ValueRow, average_relative_improvement

BM25, RECENCY, PEFT, IMPORTED = (parse_method(key) for key in ("rag:bm25", "rag:recency", "peft:8", "imported:mine"))


def test_each_row_counts_with_the_familys_best_column():
    rows = [
        ValueRow(True, {NONE: 0.5, BM25: 0.6, RECENCY: 0.55, PEFT: 0.5}),
        ValueRow(False, {NONE: 0.5, BM25: 0.6, RECENCY: 0.45, PEFT: 0.6}),
    ]
    found = average_relative_improvement(rows)
    assert found[Family.RAG].percent == pytest.approx((20 + 10) / 2)
    assert found[Family.PEFT].percent == pytest.approx((0 - 20) / 2)
    assert list(found) == [Family.RAG, Family.PEFT]


def test_a_row_without_the_family_or_without_a_baseline_does_not_count():
    rows = [
        ValueRow(True, {NONE: 0.5, BM25: 0.6}),
        ValueRow(True, {NONE: 0.0, BM25: 0.6, PEFT: 0.1}),
        ValueRow(True, {BM25: 0.9, PEFT: 0.1}),
    ]
    found = average_relative_improvement(rows)
    assert (found[Family.RAG].percent, found[Family.RAG].rows) == (pytest.approx(20), 1)
    assert (found[Family.PEFT].percent, found[Family.PEFT].rows) == (None, 0)


def test_what_was_imported_is_no_family():
    assert average_relative_improvement([ValueRow(True, {NONE: 0.5, IMPORTED: 0.6})]) == {}
