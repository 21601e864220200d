import json
import math
from dataclasses import replace

import pytest

from eval_app.layout import chosen_line
from eval_app.methods import NONE, Family, parse_method, parse_methods
from eval_app.published import SOURCE
from eval_app.significance import holm
from eval_app.table import Measured, NotRun, build_table, measure, table_as_json
from lamp.catalogue import get_task
from tests.eval_app.choosing import a_choosing_table
from tests.eval_app.runs import answers

RATING, TAGS, CITATION = get_task("LaMP-3"), get_task("LaMP-2"), get_task("LaMP-1")
RIGHT, WRONG = "[1]", "[2]"


def citation(right, n=6):
    """A LaMP-1 run of n users of whom the first `right` got a right answer."""
    return answers("LaMP-1", [RIGHT] * n, [RIGHT] * right + [WRONG] * (n - right))


def outcomes_of(task, baseline, **runs):
    """Outcomes by (task, method key); the keywords' double underscores stand for colons."""
    found = {(task.key, "none"): measure(baseline)}
    for name, run in runs.items():
        found[task.key, name.replace("__", ":")] = measure(run, baseline=baseline)
    return found


def only_row(table):
    (row,) = table.rows
    return row


def test_a_row_a_metric_a_cell_a_column():
    columns = parse_methods("none,rag:bm25,peft:8")
    golds = ["5", "1"]
    outcomes = outcomes_of(
        RATING,
        answers("LaMP-3", golds, ["3", "1"]),
        rag__bm25=answers("LaMP-3", golds, ["4", "1"]),
        peft__8=answers("LaMP-3", golds, ["3", "2"]),
    )
    table = build_table(tasks=[RATING], columns=columns, outcomes=outcomes)
    mae, rmse = table.rows
    assert [row.metric.name for row in table.rows] == ["MAE", "RMSE"]
    assert [mae.cells[method.key].value for method in columns] == [1.0, 0.5, 1.5]
    assert [mae.cells[method.key].n for method in columns] == [2, 2, 2]
    bm25, peft = mae.cells["rag:bm25"], mae.cells["peft:8"]
    assert (bm25.delta, bm25.relative_gain) == (-0.5, 0.5)
    assert (peft.delta, peft.relative_gain) == (0.5, -0.5)
    assert (bm25.wins, bm25.ties, bm25.losses) == (1, 1, 0)
    assert (peft.wins, peft.ties, peft.losses) == (0, 1, 1)
    assert rmse.cells["rag:bm25"].wins is None
    assert rmse.cells["rag:bm25"].value == pytest.approx(math.sqrt(0.5))


def test_the_best_is_the_lowest_error_and_the_highest_accuracy():
    golds = ["5", "1"]
    rating = outcomes_of(RATING, answers("LaMP-3", golds, ["3", "1"]), rag__bm25=answers("LaMP-3", golds, ["4", "1"]))
    accuracy = outcomes_of(CITATION, citation(3), rag__bm25=citation(5))
    table = build_table(
        tasks=[RATING, CITATION], columns=parse_methods("none,rag:bm25"), outcomes={**rating, **accuracy}
    )
    assert [[cell.best for cell in row.cells.values()] for row in table.rows] == [[False, True]] * 3


def test_all_that_share_the_best_value_are_marked():
    outcomes = outcomes_of(CITATION, citation(3), rag__bm25=citation(4), peft__8=citation(4))
    row = only_row(build_table(tasks=[CITATION], columns=parse_methods("none,rag:bm25,peft:8"), outcomes=outcomes))
    assert [cell.best for cell in row.cells.values()] == [False, True, True]


def test_p_values_are_against_none_and_corrected_over_the_whole_table():
    golds = ["comedy", "action"] * 3
    tags = outcomes_of(TAGS, answers("LaMP-2", golds, ["x"] * 6), rag__bm25=answers("LaMP-2", golds, golds))
    citations = outcomes_of(CITATION, citation(0), rag__bm25=citation(6))
    table = build_table(tasks=[TAGS, CITATION], columns=parse_methods("none,rag:bm25"), outcomes={**tags, **citations})
    cells = [row.cells["rag:bm25"] for row in table.rows]
    assert [cell.p_value for cell in cells] == [2 / 64, 2 / 64, 2 / 64]
    assert [cell.p_holm for cell in cells] == pytest.approx([6 / 64] * 3)
    assert all(row.cells["none"].p_value is row.cells["none"].p_holm is None for row in table.rows)


def test_a_column_that_did_not_run_says_why():
    outcomes = outcomes_of(CITATION, citation(3)) | {("LaMP-1", "rag:recency"): NotRun("its documents have no dates")}
    columns = parse_methods("none,rag:recency,rag:bm25")
    row = only_row(build_table(tasks=[CITATION], columns=columns, outcomes=outcomes))
    recency, bm25 = row.cells["rag:recency"], row.cells["rag:bm25"]
    assert (recency.value, recency.n, recency.reason) == (None, 0, "its documents have no dates")
    assert (bm25.value, bm25.reason) == (None, "not run")


def test_a_column_over_other_questions_is_shown_and_not_compared():
    outcomes = outcomes_of(CITATION, citation(3), rag__bm25=citation(5, n=5), peft__8=citation(4))
    table = build_table(tasks=[CITATION], columns=parse_methods("none,rag:bm25,peft:8"), outcomes=outcomes)
    row = only_row(table)
    partial = row.cells["rag:bm25"]
    assert (partial.value, partial.n) == (1.0, 5)
    assert partial.note == "answered 5 questions, the row's others 6"
    assert partial.p_value is partial.delta is partial.relative_gain is partial.wins is None
    assert [cell.best for cell in row.cells.values()] == [False, False, True]
    assert row.n == 6
    assert table.average[Family.RAG].percent is None


def test_as_many_but_other_questions_are_not_compared_either():
    others = answers("LaMP-1", [RIGHT] * 6, [RIGHT] * 6, users=["somebody"] * 6)
    row = only_row(
        build_table(
            tasks=[CITATION],
            columns=parse_methods("none,rag:bm25"),
            outcomes=outcomes_of(CITATION, citation(3), rag__bm25=others),
        )
    )
    assert row.cells["rag:bm25"].note == "answered other questions than the row's others"
    assert not row.cells["rag:bm25"].best


def test_without_a_baseline_there_are_values_and_no_comparison():
    outcomes = {("LaMP-1", "rag:bm25"): measure(citation(4)), ("LaMP-1", "peft:8"): measure(citation(2))}
    table = build_table(tasks=[CITATION], columns=parse_methods("none,rag:bm25,peft:8"), outcomes=outcomes)
    row = only_row(table)
    assert row.cells["none"].value is None
    assert row.cells["rag:bm25"].best
    assert row.cells["rag:bm25"].delta is row.cells["rag:bm25"].p_value is None
    assert {family: gain.percent for family, gain in table.average.items()} == {Family.RAG: None, Family.PEFT: None}


def test_a_gain_over_a_baseline_of_zero_is_null():
    outcomes = outcomes_of(CITATION, citation(0), rag__bm25=citation(3))
    table = build_table(tasks=[CITATION], columns=parse_methods("none,rag:bm25"), outcomes=outcomes)
    cell = table_as_json(table)["rows"][0]["cells"]["rag:bm25"]
    assert cell["relative_gain"] is None
    assert cell["delta"] == 0.5
    assert table_as_json(table)["average_relative_improvement"] == {"rag": None}


def test_the_average_takes_the_best_column_of_each_family_in_each_row():
    outcomes = outcomes_of(
        CITATION, citation(2), rag__bm25=citation(3), rag__contriever=citation(4), peft__8=citation(1)
    )
    columns = parse_methods("none,rag:bm25,rag:contriever,peft:8")
    table = build_table(tasks=[CITATION], columns=columns, outcomes=outcomes)
    average = table_as_json(table)["average_relative_improvement"]
    assert average == {"rag": pytest.approx(100), "peft": pytest.approx(-50)}


def test_another_baseline_can_be_chosen_and_the_average_stays_over_none():
    bm25, none = citation(4), citation(2)
    outcomes = {
        ("LaMP-1", "none"): measure(none, baseline=bm25),
        ("LaMP-1", "rag:bm25"): measure(bm25),
    }
    columns = parse_methods("none,rag:bm25")
    table = build_table(tasks=[CITATION], columns=columns, outcomes=outcomes, baseline=parse_method("rag:bm25"))
    row = only_row(table)
    assert row.cells["rag:bm25"].delta is None
    assert row.cells["none"].relative_gain == pytest.approx(-0.5)
    assert row.cells["none"].losses == 2
    assert table.average[Family.RAG].percent == pytest.approx(100)


def test_the_json_has_the_reports_form():
    outcomes = outcomes_of(CITATION, citation(3), rag__bm25=citation(5)) | {
        ("LaMP-1", "rag:recency"): NotRun("no dates")
    }
    table = build_table(tasks=[CITATION], columns=parse_methods("none,rag:bm25,rag:recency"), outcomes=outcomes)
    report = table_as_json(table)
    assert list(report) == ["rows", "average_relative_improvement", "figure_1", "reference"]
    assert report["reference"] is None
    (row,) = report["rows"]
    assert list(row) == ["task", "metric", "higher_is_better", "cells"]
    assert (row["task"], row["metric"], row["higher_is_better"]) == ("LaMP-1", "accuracy", True)
    assert row["cells"]["none"].items() >= {"value": 0.5, "n": 6, "best": False}.items()
    assert "p_value" not in row["cells"]["none"]
    assert row["cells"]["rag:bm25"].items() >= {"n": 6, "p_value": 0.5, "wins": 2, "ties": 4, "losses": 0}.items()
    assert row["cells"]["rag:recency"] == {"value": None, "n": 0, "reason": "no dates"}
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_the_published_numbers_come_only_where_asked_for():
    outcomes = outcomes_of(CITATION, citation(3))
    report = table_as_json(build_table(tasks=[CITATION], columns=[NONE], outcomes=outcomes, reference=True))
    assert report["reference"]["source"] == SOURCE
    assert len(report["reference"]["rows"]) == 13


def test_an_experiment_in_which_nothing_ran_is_a_table_all_the_same():
    table = build_table(tasks=[TAGS], columns=parse_methods("none,rag:bm25"), outcomes={})
    assert [[cell.value for cell in row.cells.values()] for row in table.rows] == [[None, None]] * 2


def test_what_a_run_left_goes_through_json_and_back():
    left = measure(citation(4), baseline=citation(3))
    assert Measured.from_dict(json.loads(json.dumps(left.as_dict(), allow_nan=False))) == left


def test_a_value_that_is_not_finite_never_enters():
    with pytest.raises(ValueError, match="not finite"):
        Measured(values={"MAE": float("nan")}, n=1, users=1, question_set="", intervals={})


def test_the_retriever_that_best_stood_for_is_named():
    columns = parse_methods("none,rag:bm25,peft-rag:best:8")
    outcomes = outcomes_of(CITATION, citation(3), rag__bm25=citation(5), **{"peft-rag__best__8": citation(6)})
    best = outcomes["LaMP-1", "peft-rag:best:8"]
    outcomes["LaMP-1", "peft-rag:best:8"] = replace(best, retriever="bm25")
    table = build_table(tasks=[CITATION], columns=columns, outcomes=outcomes)
    (row,) = table_as_json(table)["rows"]
    assert row["cells"]["peft-rag:best:8"]["retriever"] == "bm25"
    assert "retriever" not in row["cells"]["rag:bm25"]
    assert chosen_line(table) == "The best retriever. PEFT-RAG best r=8: LaMP-1 BM25."


def test_nothing_is_said_of_the_best_where_nobody_asked_for_it():
    outcomes = outcomes_of(CITATION, citation(3), rag__bm25=citation(5))
    assert chosen_line(build_table(tasks=[CITATION], columns=parse_methods("none,rag:bm25"), outcomes=outcomes)) is None


class TestControls:
    COLUMNS = parse_methods("none,rag:bm25,peft:8")

    def outcomes(self, *, own, swapped, none=None):
        """Outcomes of rag:bm25 and its control, of citations."""
        none = none or citation(0)
        return {
            ("LaMP-1", "none"): measure(none),
            ("LaMP-1", "rag:bm25"): measure(own, baseline=none),
            ("LaMP-1", "rag:bm25@swapped"): measure(swapped, baseline=own),
        }

    def test_the_control_stands_in_the_cell_of_its_own_column(self):
        outcomes = self.outcomes(own=citation(6), swapped=citation(1))
        row = only_row(build_table(tasks=[CITATION], columns=self.COLUMNS, outcomes=outcomes))
        assert list(row.cells) == ["none", "rag:bm25", "peft:8"]
        control = row.cells["rag:bm25"].control
        # Five of six users differ, all in one direction: of 32 swaps two are as extreme.
        assert (control.value, control.n, control.p_value) == (pytest.approx(1 / 6), 6, 2 / 32)
        assert row.cells["none"].control is row.cells["peft:8"].control is None

    def test_its_p_is_against_its_own_column_and_not_against_none(self):
        outcomes = self.outcomes(own=citation(6), swapped=citation(6))
        cell = only_row(build_table(tasks=[CITATION], columns=self.COLUMNS, outcomes=outcomes)).cells["rag:bm25"]
        assert (cell.p_value, cell.control.p_value) == (2 / 64, 1.0)

    def test_controls_are_corrected_among_themselves(self):
        none, own, swapped = citation(0), citation(6), citation(0)
        outcomes = self.outcomes(own=own, swapped=swapped) | {
            ("LaMP-1", "peft:8"): measure(own, baseline=none),
            ("LaMP-1", "peft:8@swapped"): measure(citation(1), baseline=own),
        }
        cells = only_row(build_table(tasks=[CITATION], columns=self.COLUMNS, outcomes=outcomes)).cells
        assert [cells[key].control.p_value for key in ("rag:bm25", "peft:8")] == [2 / 64, 2 / 32]
        assert [cells[key].control.p_holm for key in ("rag:bm25", "peft:8")] == [4 / 64, 4 / 64]
        assert [cells[key].p_holm for key in ("rag:bm25", "peft:8")] == [4 / 64, 4 / 64]

    def test_a_control_is_never_the_best_and_has_no_part_in_the_average(self):
        outcomes = self.outcomes(none=citation(2), own=citation(3), swapped=citation(6))
        table = build_table(tasks=[CITATION], columns=self.COLUMNS, outcomes=outcomes)
        assert only_row(table).cells["rag:bm25"].best
        assert table.average[Family.RAG].percent == pytest.approx(50)

    def test_a_control_that_did_not_run_says_why(self):
        outcomes = self.outcomes(own=citation(3), swapped=citation(3))
        outcomes["LaMP-1", "rag:bm25@swapped"] = NotRun("there is nobody else")
        cells = table_as_json(build_table(tasks=[CITATION], columns=self.COLUMNS, outcomes=outcomes))["rows"][0][
            "cells"
        ]
        assert cells["rag:bm25"]["control"] == {"value": None, "n": 0, "reason": "there is nobody else"}

    def test_a_control_over_other_questions_is_not_tested(self):
        outcomes = self.outcomes(own=citation(3), swapped=citation(3, n=5))
        cells = table_as_json(build_table(tasks=[CITATION], columns=self.COLUMNS, outcomes=outcomes))["rows"][0][
            "cells"
        ]
        assert cells["rag:bm25"]["control"] == {
            "value": 0.6,
            "n": 5,
            "reason": "answered other questions than its own column",
        }


class TestShareOfThePossible:
    COLUMNS = parse_methods("none,rag:bm25")

    def shares(self, task, none, own, *, oracle):
        """Metric → (the row's oracle, the shares of none and rag:bm25), as the report has them."""
        outcomes = {
            (task.key, "none"): measure(none, oracle=oracle),
            (task.key, "rag:bm25"): measure(own, baseline=none, oracle=oracle),
        }
        rows = table_as_json(build_table(tasks=[task], columns=self.COLUMNS, outcomes=outcomes))["rows"]
        return {
            row["metric"]: (row["oracle"]["value"], *(cell["share_of_possible"] for cell in row["cells"].values()))
            for row in rows
        }

    def test_it_is_the_part_of_the_way_from_none_to_the_oracle(self):
        shares = self.shares(CITATION, citation(1), citation(3), oracle={"accuracy": 5 / 6})
        assert shares == {"accuracy": (5 / 6, 0.0, pytest.approx(0.5))}

    def test_of_an_error_less_is_more(self):
        none, own = (answers("LaMP-3", ["5", "1"], predicted) for predicted in (["1", "1"], ["4", "1"]))
        shares = self.shares(RATING, none, own, oracle={"MAE": 0.0, "RMSE": 0.0})
        assert shares["MAE"] == (0.0, 0.0, pytest.approx(0.75))
        assert shares["RMSE"][1:] == (0.0, pytest.approx(0.75))

    def test_a_method_may_be_worse_than_none_or_better_than_the_oracle(self):
        for right, share in ((1, -1.0), (4, 2.0)):
            found = self.shares(CITATION, citation(2), citation(right), oracle={"accuracy": 0.5})
            assert found["accuracy"][2] == pytest.approx(share)

    @pytest.mark.parametrize("oracle", [2 / 6, 1 / 6], ids=["as good", "worse"])
    def test_where_nothing_is_to_be_gained_there_is_no_share(self, oracle):
        none = citation(2)
        outcomes = {
            ("LaMP-1", "none"): measure(none, oracle={"accuracy": oracle}),
            ("LaMP-1", "rag:bm25"): measure(citation(3), baseline=none, oracle={"accuracy": oracle}),
        }
        cells = table_as_json(build_table(tasks=[CITATION], columns=self.COLUMNS, outcomes=outcomes))["rows"][0][
            "cells"
        ]
        for cell in cells.values():
            assert cell["share_of_possible"] is None
            assert cell["share_reason"].startswith("the oracle is no better than no personalization")

    def test_without_none_on_the_same_questions_there_is_no_share(self):
        outcomes = {
            ("LaMP-1", "none"): measure(citation(2), oracle={"accuracy": 1.0}),
            ("LaMP-1", "rag:bm25"): measure(citation(3, n=5), oracle={"accuracy": 1.0}),
        }
        cells = table_as_json(build_table(tasks=[CITATION], columns=self.COLUMNS, outcomes=outcomes))["rows"][0][
            "cells"
        ]
        assert cells["none"]["share_of_possible"] == 0.0
        assert cells["rag:bm25"]["share_of_possible"] is None
        assert cells["rag:bm25"]["share_reason"] == "no personalization was not run on these questions"

    def test_a_control_has_its_share_too(self):
        none, own, oracle = citation(0), citation(6), {"accuracy": 1.0}
        outcomes = {
            ("LaMP-1", "none"): measure(none, oracle=oracle),
            ("LaMP-1", "rag:bm25"): measure(own, baseline=none, oracle=oracle),
            ("LaMP-1", "rag:bm25@swapped"): measure(citation(3), baseline=own, oracle=oracle),
        }
        row = table_as_json(build_table(tasks=[CITATION], columns=self.COLUMNS, outcomes=outcomes))["rows"][0]
        assert row["cells"]["rag:bm25"]["control"]["share_of_possible"] == 0.5

    def test_without_an_oracle_nothing_of_it_appears(self):
        outcomes = outcomes_of(CITATION, citation(3), rag__bm25=citation(5))
        row = table_as_json(build_table(tasks=[CITATION], columns=self.COLUMNS, outcomes=outcomes))["rows"][0]
        assert list(row) == ["task", "metric", "higher_is_better", "cells"]
        assert not any("share" in key or key == "control" for cell in row["cells"].values() for key in cell)

    def test_it_goes_through_json_and_back(self):
        left = measure(citation(4), baseline=citation(3), oracle={"accuracy": 1.0})
        assert Measured.from_dict(json.loads(json.dumps(left.as_dict(), allow_nan=False))) == left

    def test_reports_of_before_there_were_oracles_are_read(self):
        stored = measure(citation(4)).as_dict()
        del stored["oracle"]
        assert Measured.from_dict(stored) == measure(citation(4))


def test_the_share_of_the_possible_is_over_no_personalization_whatever_the_baseline():
    golds = ["5", "1"]
    none, rag = answers("LaMP-3", golds, ["3", "1"]), answers("LaMP-3", golds, ["4", "1"])
    oracle = {"MAE": 0.0, "RMSE": 0.0}
    outcomes = {
        ("LaMP-3", "none"): measure(none, baseline=rag, oracle=oracle),
        ("LaMP-3", "rag:bm25"): measure(rag, oracle=oracle),
    }
    columns = parse_methods("none,rag:bm25")
    table = build_table(tasks=[RATING], columns=columns, outcomes=outcomes, baseline=columns[1])
    mae = table.rows[0]
    assert [mae.cells[key].share.value for key in ("none", "rag:bm25")] == [0.0, 0.5]
    assert (mae.cells["none"].delta, mae.cells["none"].relative_gain) == (0.5, -1.0)


class TestChoosing:
    def cells(self, task, metric):
        [row] = [row for row in a_choosing_table().rows if (row.task.key, row.metric.name) == (task, metric)]
        return row.cells

    def test_the_tests_against_the_best_single_retriever_are_corrected_among_themselves(self):
        table = a_choosing_table()
        cells = [cell for row in table.rows for cell in row.cells.values() if cell.choosing and cell.choosing.bounds]
        raw = [cell.choosing.bounds.p_value for cell in cells]
        assert [cell.choosing.p_holm for cell in cells] == holm(raw)
        assert len(raw) == 5

    def test_macro_f1_says_why_it_has_no_bounds(self):
        choosing = self.cells("LaMP-2", "f1")["rag:rspg-pre"].choosing
        assert (choosing.bounds, choosing.p_holm, choosing.reason) == (None, None, "no single answer has a macro F1")

    def test_what_was_not_held_against_its_pool_says_so_in_every_metric(self):
        for metric in ("accuracy", "f1"):
            choosing = self.cells("LaMP-2", metric)["rag:rspg-post"].choosing
            assert choosing.reason == "a member of its pool answered other questions"

    def test_its_json_has_the_bounds_the_share_and_the_choices(self):
        rows = {(row["task"], row["metric"]): row for row in table_as_json(a_choosing_table())["rows"]}
        assert rows["LaMP-3", "MAE"]["cells"]["rag:rspg-post"]["choosing"] == {
            "chosen": {"none": 2, "bm25": 2},
            "best_single": {"retriever": "bm25", "value": 1.0},
            "oracle": 0.25,
            "share_of_gap": pytest.approx(2 / 3),
            "p_value": 1.0,
            "p_holm": 1.0,
        }
