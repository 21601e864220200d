"""Recency: newest first; of equal dates the later document first."""

import pytest

from retrieval_app.recency import NoDates, recency_order, recency_scores


@pytest.mark.parametrize(
    ("dates", "order"),
    [
        ([], []),
        (["2009"], [0]),
        (["2009", "2011", "2010"], [1, 2, 0]),
        (["2010", "2010", "2010"], [2, 1, 0]),
        (["2010-2-1", "2010-10-1", 2009, "2010"], [1, 0, 3, 2]),
        ([999, 1000], [1, 0]),
    ],
)
def test_order(dates, order):
    assert recency_order(dates) == order


def test_the_score_counts_the_distinct_older_dates():
    assert recency_scores(["2011", "2009", "2011", "2010"]).tolist() == [2.0, 0.0, 2.0, 1.0]


@pytest.mark.parametrize("dates", [[None], ["2009", None, "2010"]])
def test_a_document_without_a_date_makes_it_impossible(dates):
    with pytest.raises(NoDates, match="no date"):
        recency_order(dates)


def test_what_is_no_date_is_refused():
    with pytest.raises(ValueError, match="date"):
        recency_order(["2009", "yesterday"])
