"""What of a table is looked at, and in which order."""

import pytest
from django.http import QueryDict

from eval_app.methods import NONE, parse_methods
from eval_app.table import NotRun, build_table
from eval_app.table_choices import SHOWN_FIRST, TableChoices, row_name, turned
from lamp.catalogue import get_task
from tests.eval_app.runs import answers
from tests.eval_app.test_table import outcomes_of

COLUMNS = parse_methods("none,rag:bm25,peft:8,rag:recency")
GOLDS = ["5", "1"]


@pytest.fixture(scope="module")
def table():
    """On ratings RAG helps and PEFT harms; on citations the other way round."""
    rating, citation = get_task("LaMP-3"), get_task("LaMP-1")
    ratings = outcomes_of(
        rating,
        answers("LaMP-3", GOLDS, ["3", "1"]),
        rag__bm25=answers("LaMP-3", GOLDS, ["4", "1"]),
        peft__8=answers("LaMP-3", GOLDS, ["2", "1"]),
    )
    right = ["[1]"] * 4
    citations = outcomes_of(
        citation,
        answers("LaMP-1", right, ["[1]", "[1]", "[2]", "[2]"]),
        rag__bm25=answers("LaMP-1", right, ["[1]", "[2]", "[2]", "[2]"]),
        peft__8=answers("LaMP-1", right, ["[1]", "[1]", "[1]", "[2]"]),
    )
    refused = {(task, "rag:recency"): NotRun("no dates") for task in ("LaMP-1", "LaMP-3")}
    return build_table(tasks=[citation, rating], columns=COLUMNS, outcomes={**ratings, **citations, **refused})


def read(text):
    return TableChoices.of(QueryDict(text), baselines=COLUMNS)


def rows(table):
    return [row_name(row) for row in table.rows]


def columns(table):
    return [method.key for method in table.columns]


def test_without_a_word_everything_is_shown_as_it_was_made(table):
    shown = read("").shown(table)
    assert (rows(shown), columns(shown)) == (rows(table), columns(table))
    assert read("").details == SHOWN_FIRST


def test_tasks_metrics_and_columns_are_chosen(table):
    shown = read("task=LaMP-3&metric=RMSE&column=none&column=peft:8").shown(table)
    assert (rows(shown), columns(shown)) == (["LaMP-3:RMSE"], ["none", "peft:8"])


def test_the_best_is_of_what_is_shown(table):
    row = read("task=LaMP-3&column=none&column=peft:8").shown(table).rows[0]
    assert [row.cells[key].best for key in ("none", "peft:8")] == [True, False]


def test_tests_stay_corrected_over_the_whole_table(table):
    whole = {row_name(row): row.cells["peft:8"].p_holm for row in table.rows}
    shown = read("task=LaMP-3&column=peft:8").shown(table)
    assert {row_name(row): row.cells["peft:8"].p_holm for row in shown.rows}.items() <= whole.items()


def test_the_average_is_over_the_rows_that_are_shown(table):
    average = read("task=LaMP-1&column=peft:8").shown(table).average
    assert {family.value: (gain.percent, gain.rows) for family, gain in average.items()} == {"peft": (50.0, 1)}


def test_rows_are_ordered_by_a_columns_gain_whichever_way_is_better(table):
    assert rows(read("rows=rag:bm25").shown(table)) == ["LaMP-3:MAE", "LaMP-3:RMSE", "LaMP-1:accuracy"]
    assert rows(read("rows=-rag:bm25").shown(table)) == ["LaMP-1:accuracy", "LaMP-3:MAE", "LaMP-3:RMSE"]


def test_columns_are_ordered_by_a_rows_values_the_best_first(table):
    assert columns(read("columns=LaMP-3:MAE").shown(table)) == ["rag:bm25", "none", "peft:8", "rag:recency"]
    assert columns(read("columns=LaMP-1:accuracy").shown(table)) == ["peft:8", "none", "rag:bm25", "rag:recency"]
    assert columns(read("columns=-LaMP-1:accuracy").shown(table)) == ["rag:bm25", "none", "peft:8", "rag:recency"]


def test_a_column_that_has_no_gain_orders_nothing(table):
    assert rows(read("rows=rag:recency").shown(table)) == rows(table)


@pytest.mark.parametrize(
    "query",
    [
        "task=LaMP-99&metric=bleu&column=magic&rows=magic&columns=magic&show=magic&seed=x&seed=&baseline=magic",
        "rows=-&columns=-&reference=2&baseline=",
        "seed=99999999999999999999999&seed=-1&rows=%00&columns=LaMP-3",
    ],
)
def test_what_makes_no_sense_is_as_if_it_were_not_there(table, query):
    choices = read(query)
    shown = choices.shown(table)
    assert (rows(shown), columns(shown)) == (rows(table), columns(table))
    assert (choices.baseline, choices.seeds, choices.reference) == (NONE, (), False)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "show=",
        "baseline=rag:bm25&task=LaMP-3&metric=MAE&column=none&rows=-peft:8&columns=LaMP-3:MAE&show=p&reference=1&seed=3",
    ],
)
def test_a_choice_can_be_written_as_a_query_string_again(query):
    choices = read(query)
    assert read(choices.query_string().removeprefix("?")) == choices


def test_asking_for_an_order_again_turns_it_and_then_undoes_it():
    assert [turned("", "peft:8"), turned("peft:8", "peft:8"), turned("-peft:8", "peft:8")] == ["peft:8", "-peft:8", ""]
    assert turned("rag:bm25", "peft:8") == "peft:8"


def test_the_published_numbers_stand_beside_it_where_asked_for(table):
    assert read("reference=1").shown(table).reference
    assert not read("").shown(table).reference
