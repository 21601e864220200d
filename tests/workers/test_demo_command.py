import pytest

from eval_app.methods import parse_methods
from retrieval_app.retrievers import SELECTING
from workers.management.commands.demo import ALIKE_METHODS, METHODS, choosing_line, nothing_to_choose, nothing_to_find


def cell(*, delta=0.0, p=1.0, control_p=1.0):
    return {"value": 0.5, "delta": delta, "p_holm": p, "control": {"value": 0.5, "p_holm": control_p}}


def table(*cells, higher_is_better=True):
    named = {f"rag:{at}": one for at, one in enumerate(cells)}
    return {"rows": [{"higher_is_better": higher_is_better, "cells": {"none": {"value": 0.5}, **named}}]}


def test_where_cells_are_alike_nothing_is_found():
    found = nothing_to_find(table(cell(delta=0.1, p=0.4), cell(control_p=0.2)))
    assert found == {
        "cells": 2,
        "least_p_holm": {"beats_none": 0.4, "differs_from_swapped": 0.2},
        "nothing_found": True,
    }


def test_a_cell_that_beats_none_is_a_finding():
    assert not nothing_to_find(table(cell(delta=0.1, p=0.001)))["nothing_found"]
    assert not nothing_to_find(table(cell(delta=-0.1, p=0.001), higher_is_better=False))["nothing_found"]


def test_a_cell_that_is_worse_than_none_is_none():
    assert nothing_to_find(table(cell(delta=-0.1, p=0.001)))["nothing_found"]
    assert nothing_to_find(table(cell(delta=0.1, p=0.001), higher_is_better=False))["nothing_found"]


def test_a_cell_that_differs_from_its_control_is_a_finding():
    assert not nothing_to_find(table(cell(control_p=0.001)))["nothing_found"]


class TestChoosing:
    def row(self, task, *, value, best, share=0.5, p=0.4, metric="accuracy", higher_is_better=True):
        choosing = {"best_single": {"retriever": "bm25", "value": best}, "share_of_gap": share, "p_holm": p}
        cells = {"none": {"value": 0.1}, "rag:rspg-pre": {"value": value, "choosing": choosing}}
        return {"task": task, "metric": metric, "higher_is_better": higher_is_better, "cells": cells}

    def test_tasks_are_counted_and_shares_averaged_by_their_first_metric(self):
        rows = [
            self.row("LaMP-1", value=0.6, best=0.5, share=0.3),
            self.row("LaMP-3", value=0.6, best=0.5, share=-0.2, metric="MAE", higher_is_better=False),
            self.row("LaMP-3", value=0.4, best=0.5, share=0.9, p=0.3, metric="RMSE", higher_is_better=False),
            self.row("LaMP-4", value=0.5, best=0.5, share=None),
        ]
        found = nothing_to_choose({"rows": rows})
        assert found["methods"] == {"rag:rspg-pre": {"tasks": 3, "better": 1, "mean_share": pytest.approx(0.05)}}
        assert (found["least_p_holm"], found["nothing_gained"]) == (0.3, True)

    def test_a_clear_gain_over_the_best_single_retriever_is_a_finding(self):
        assert not nothing_to_choose({"rows": [self.row("LaMP-1", value=0.6, best=0.5, p=0.001)]})["nothing_gained"]

    def test_a_clear_loss_is_none(self):
        assert nothing_to_choose({"rows": [self.row("LaMP-1", value=0.4, best=0.5, p=0.001)]})["nothing_gained"]

    def test_without_anything_held_against_its_pool_it_could_not_be_told(self):
        row = self.row("LaMP-1", value=0.6, best=0.5)
        row["cells"]["rag:rspg-pre"]["choosing"] = {"chosen": {}, "reason": "its pool is elsewhere"}
        found = nothing_to_choose({"rows": [row]})
        assert found == {"methods": {}, "least_p_holm": 1.0, "nothing_gained": False}
        assert "could not be told" in choosing_line(found)


@pytest.mark.parametrize("methods", [METHODS, ALIKE_METHODS])
def test_every_comparison_with_rspg_has_the_columns_of_its_pool(methods):
    retrievers = {method.retriever for method in parse_methods(methods)}
    assert {None, "bm25", "recency", "contriever", *SELECTING} <= retrievers
