"""Quality beside cost, column by column."""

import pytest

from eval_app.cost_quality import front_of, standings_on_average, standings_on_task
from eval_app.methods import parse_methods
from eval_app.spending import Spending
from eval_app.table import build_table, measure
from lamp.catalogue import get_task
from tests.eval_app.runs import answers

RATING, CITATION = get_task("LaMP-3"), get_task("LaMP-1")
COLUMNS = parse_methods("none,rag:bm25,peft:8")
NONE, BM25, PEFT = (method.key for method in COLUMNS)
GOLDS = ["5", "1"]
RIGHT, WRONG = "[1]", "[2]"


def table_of(**by_task):
    """A table from each task's predictions by column; the keywords' underscores stand for hyphens."""
    outcomes = {}
    for key, predictions in by_task.items():
        task = get_task(key.replace("_", "-"))
        golds = GOLDS if task is RATING else [RIGHT, RIGHT]
        runs = {name: answers(task.key, golds, said) for name, said in predictions.items()}
        for name, run in runs.items():
            outcomes[task.key, name] = measure(run, baseline=runs[NONE] if name != NONE else None)
    tasks = [get_task(key.replace("_", "-")) for key in by_task]
    return build_table(tasks=tasks, columns=COLUMNS, outcomes=outcomes)


def costing(**costs):
    return {
        (task.key, key): Spending(prompt_tokens=costs[name])
        for task in (RATING, CITATION)
        for name, key in (("none", NONE), ("bm25", BM25), ("peft", PEFT))
        if name in costs
    }


ON_BOTH = table_of(
    LaMP_3={NONE: ["3", "1"], BM25: ["4", "1"], PEFT: ["3", "2"]},
    LaMP_1={NONE: [RIGHT, WRONG], BM25: [RIGHT, RIGHT], PEFT: [RIGHT, WRONG]},
)


def test_on_a_task_quality_is_its_first_metric():
    found = standings_on_task(table=ON_BOTH, task=RATING, spending=costing(none=1, bm25=2, peft=3))
    assert [(one.method.key, one.quality, one.spending.prompt_tokens) for one in found] == [
        (NONE, 1.0, 1),
        (BM25, 0.5, 2),
        (PEFT, 1.5, 3),
    ]


def test_less_of_an_error_is_better_on_the_front():
    found = standings_on_task(table=ON_BOTH, task=RATING, spending=costing(none=1, bm25=2, peft=3))
    assert front_of(found, cost="prompt_tokens", higher_is_better=False) == [NONE, BM25]
    assert front_of(found, cost="prompt_tokens", higher_is_better=True) == [NONE, PEFT]


def test_what_costs_nobody_knows_what_is_on_no_front():
    found = standings_on_task(table=ON_BOTH, task=RATING, spending=costing(none=1))
    assert front_of(found, cost="prompt_tokens", higher_is_better=False) == [NONE]


def test_on_average_quality_is_the_mean_relative_gain_over_all_rows():
    found = standings_on_average(table=ON_BOTH, spending=costing(none=1, bm25=2, peft=3))
    gains = [row.cells[BM25].relative_gain for row in ON_BOTH.rows]
    assert len(gains) == 3
    assert {one.method.key: one.quality for one in found}[BM25] == pytest.approx(100 * sum(gains) / 3)
    assert {one.method.key: one.quality for one in found}[NONE] == 0


def test_a_column_alone_in_its_family_averages_to_the_family_s_average():
    found = standings_on_average(table=ON_BOTH, spending={})
    by_family = {one.method.family: one.quality for one in found}
    for family, gain in ON_BOTH.average.items():
        assert by_family[family] == pytest.approx(gain.percent)


def test_a_column_that_lacks_a_task_is_not_compared_with_the_others():
    table = table_of(
        LaMP_3={NONE: ["3", "1"], BM25: ["4", "1"]},
        LaMP_1={NONE: [RIGHT, WRONG], BM25: [RIGHT, RIGHT], PEFT: [RIGHT, RIGHT]},
    )
    found = standings_on_average(table=table, spending=costing(none=1, bm25=2, peft=3))
    assert [(one.method.key, one.reason) for one in found] == [
        (NONE, None),
        (BM25, None),
        (PEFT, "was compared in 1 of 3 rows"),
    ]
    assert PEFT not in front_of(found, cost="prompt_tokens")
