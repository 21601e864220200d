"""Several seeds: mean and standard deviation, cell by cell."""

import csv
import io
import json
import statistics
from dataclasses import replace

import pytest

from eval_app.export import to_csv, to_json, to_latex, to_markdown
from eval_app.reports import experiment_table
from eval_app.seeds import with_other_seeds, with_spreads
from tests.eval_app.stored import answered_run, ended

OF_SEED = {
    0: {"none": ["rain", "bike", "nothing"], "rag:bm25": ["rain on my roses", "bike", "garden gloves"]},
    1: {"none": ["rain on", "bike", "nothing"], "rag:bm25": ["rain on my", "bike", "garden"]},
    2: {"none": ["rain", "bike trail", "nothing"], "rag:bm25": ["rain", "my bike", "garden gloves gone"]},
}


@pytest.fixture
def experiments(dev):
    return [
        ended(
            dev,
            {method: answered_run(dev, answers, method=method, seed=seed) for method, answers in columns.items()},
            name=f"seed {seed}",
            seed=seed,
            reference=seed == 1,
        )
        for seed, columns in OF_SEED.items()
    ]


@pytest.fixture
def averaged(experiments):
    own, *others = (experiment_table(experiment=experiment) for experiment in experiments)
    return with_spreads(own, others)


def test_those_with_the_same_settings_and_another_seed_are_found(experiments, workspace):
    found = with_other_seeds(workspace=workspace, experiment=experiments[0])
    assert [other.name for other in found] == ["seed 1", "seed 2"]


def test_an_experiment_of_other_settings_is_no_other_seed(experiments, workspace, dev):
    ended(dev, {"none": answered_run(dev, ["a", "b", "c"], seed=9)}, name="other", seed=9, documents_wanted=4)
    assert len(with_other_seeds(workspace=workspace, experiment=experiments[0])) == 2


def test_one_that_has_not_ended_is_not_averaged(experiments, workspace):
    experiments[1].report = None
    experiments[1].save()
    assert [one.name for one in with_other_seeds(workspace=workspace, experiment=experiments[0])] == ["seed 2"]


def test_another_workspace_has_none(experiments, mallory):
    assert with_other_seeds(workspace=mallory.workspace, experiment=experiments[0]) == []


def test_a_cell_is_the_mean_and_the_sample_deviation(experiments, averaged):
    values = [experiment_table(experiment=one).rows[0].cells["rag:bm25"].value for one in experiments]
    spread = averaged.rows[0].cells["rag:bm25"].spread
    assert (spread.mean, spread.seeds) == (pytest.approx(statistics.mean(values)), 3)
    assert spread.deviation == pytest.approx(statistics.stdev(values))


def test_the_gain_is_the_mean_of_the_gains(experiments, averaged):
    deltas = [experiment_table(experiment=one).rows[0].cells["rag:bm25"].delta for one in experiments]
    assert averaged.rows[0].cells["rag:bm25"].spread.gain == pytest.approx(statistics.mean(deltas))


def test_the_best_is_the_best_mean(averaged):
    spreads = {key: cell.spread for key, cell in averaged.rows[0].cells.items()}
    assert (spreads["rag:bm25"].mean > spreads["none"].mean, spreads["rag:bm25"].best, spreads["none"].best) == (
        True,
        True,
        False,
    )


def test_without_others_the_table_stays_as_it_is(experiments):
    table = experiment_table(experiment=experiments[0])
    assert with_spreads(table, []) == table


def test_a_cell_that_some_seed_lacks_is_not_averaged(experiments, averaged):
    own, other = (experiment_table(experiment=experiment) for experiment in experiments[:2])
    for row in other.rows:
        del row.cells["rag:bm25"]
    found = with_spreads(own, [other]).rows[0].cells
    assert (found["rag:bm25"].spread, found["none"].spread is None) == (None, False)


def test_a_cell_that_some_seed_lacks_is_not_compared_with_means_and_says_why(experiments):
    own, other = (experiment_table(experiment=experiment) for experiment in experiments[:2])
    for row in other.rows:
        del row.cells["rag:bm25"]
    assert own.rows[0].cells["rag:bm25"].best
    table = with_spreads(own, [other])
    cell = table.rows[0].cells["rag:bm25"]
    assert (cell.best, cell.interval, cell.delta, cell.p_value, cell.p_holm, cell.wins) == (False, *[None] * 5)
    assert (cell.value, cell.unaveraged) == (own.rows[0].cells["rag:bm25"].value, "not in all seeds")
    for form in (to_csv, to_json, to_latex, to_markdown):
        assert "not in all seeds" in form(table)


@pytest.mark.parametrize("differs", [{"n": 2}, {"users": 1}, {"question_set": "others"}])
def test_answers_to_other_questions_are_not_averaged(experiments, differs):
    own, other = (experiment_table(experiment=experiment) for experiment in experiments[:2])
    for row in other.rows:
        row.cells["rag:bm25"] = replace(row.cells["rag:bm25"], **differs)
    cell = with_spreads(own, [other]).rows[0].cells["rag:bm25"]
    assert (cell.spread, cell.best, cell.unaveraged) == (None, False, "answered other questions in another seed")


def test_each_form_says_mean_and_deviation(averaged):
    spread = averaged.rows[0].cells["rag:bm25"].spread
    text = f"{spread.mean:.3f} ± {spread.deviation:.3f}"
    assert f"**{text}**" in to_markdown(averaged)
    assert rf"\textbf{{{text.replace('±', '$' + chr(92) + 'pm$')}}}" in to_latex(averaged)
    [line, *_] = [one for one in csv.DictReader(io.StringIO(to_csv(averaged))) if one["method"] == "rag:bm25"]
    assert (line["seeds"], float(line["seeds_mean"])) == ("3", spread.mean)
    cell = json.loads(to_json(averaged))["rows"][0]["cells"]["rag:bm25"]
    assert cell["spread"]["deviation"] == spread.deviation
