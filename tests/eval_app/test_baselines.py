"""An experiment's table against a baseline that its report does not compare with."""

import json

import pytest

from eval_app.baselines import (
    UnknownBaseline,
    baselines_of,
    compare_with,
    comparison_job,
    record_comparison,
    request_comparison,
    stored_comparisons,
)
from eval_app.comparison import compare
from eval_app.methods import NONE, parse_method
from eval_app.models import ExperimentComparison, Prediction, Run
from eval_app.reports import experiment_table, run_scores
from eval_app.table import table_as_json
from jobs.models import Job
from tests.eval_app.stored import answered_run, conclude, ended
from users_app.erasure import erase_end_user

POOR = ["rain", "bike", "nothing"]
BETTER = ["rain on my roses", "bike", "garden gloves"]
BM25 = parse_method("rag:bm25")


@pytest.fixture
def experiment(dev):
    return ended(
        dev,
        {
            "none": answered_run(dev, POOR),
            "rag:bm25": answered_run(dev, BETTER, method="rag:bm25"),
            "peft:8": answered_run(dev, ["a", "b", "c"], method="peft:8"),
            "rag:recency": "the profiles have no dates",
        },
    )


@pytest.fixture
def compared(experiment, in_process):
    request_comparison(experiment=experiment, baseline=BM25)
    in_process("compare_experiment")
    return experiment


def nobody(done, total):
    """Hears how far it is."""


def test_whatever_has_a_result_can_be_the_baseline(experiment):
    assert [method.key for method in baselines_of(experiment=experiment)] == ["none", "rag:bm25", "peft:8"]


def test_before_there_is_a_report_nothing_can(experiment):
    experiment.report = None
    assert baselines_of(experiment=experiment) == []


def test_a_job_compares_and_what_it_found_is_what_comparing_the_runs_finds(compared):
    found = stored_comparisons(experiment=compared, baseline=BM25)
    scores = {run.family: run_scores(run=run) for run in Run.objects.select_related("split")}
    assert found == {
        "LaMP-7": {
            "none": compare(scores["rag"], scores["none"], seed=0),
            "peft:8": compare(scores["rag"], scores["peft"], seed=0),
        }
    }


def test_the_table_is_then_against_it(compared):
    found = stored_comparisons(experiment=compared, baseline=BM25)
    table = experiment_table(experiment=compared, baseline=BM25, comparisons=found)
    cells = table.rows[0].cells
    assert table_as_json(table)["baseline"] == "rag:bm25"
    assert cells["rag:bm25"].delta is None
    assert cells["none"].delta == pytest.approx(cells["none"].value - cells["rag:bm25"].value)
    assert (cells["none"].wins, cells["none"].ties, cells["none"].losses) == (0, 1, 1)
    assert cells["rag:recency"].reason == "the profiles have no dates"


def test_the_report_itself_stays_as_it_was(experiment, compared):
    before = json.dumps(experiment.report, sort_keys=True)
    compared.refresh_from_db()
    assert json.dumps(compared.report, sort_keys=True) == before


def test_it_says_how_far_it_is(experiment):
    said = []
    compare_with(experiment=experiment, baseline="rag:bm25", say=lambda done, total: said.append((done, total)))
    assert said == [(1, 3), (2, 3), (3, 3)]


def test_asking_twice_is_asking_once(experiment):
    for _ in range(2):
        request_comparison(experiment=experiment, baseline=BM25)
    assert Job.objects.filter(kind="compare_experiment").count() == 1
    assert comparison_job(experiment=experiment, baseline=BM25).state == "waiting"


def test_what_is_known_is_not_asked_for_again(compared):
    request_comparison(experiment=compared, baseline=BM25)
    assert Job.objects.filter(kind="compare_experiment").count() == 1


def test_the_report_s_own_baseline_needs_no_job(experiment):
    request_comparison(experiment=experiment, baseline=NONE)
    assert not Job.objects.filter(kind="compare_experiment").exists()


@pytest.mark.parametrize("method", ["rag:recency", "peft:64", "imported:theirs"])
def test_what_has_no_result_is_no_baseline(experiment, method):
    with pytest.raises(UnknownBaseline):
        request_comparison(experiment=experiment, baseline=parse_method(method))


def test_another_report_needs_another_comparison(compared, in_process):
    run = Run.objects.get(family="peft")
    run.metrics = None
    run.save()
    conclude(compared)
    compared.refresh_from_db()
    assert stored_comparisons(experiment=compared, baseline=BM25) is None
    request_comparison(experiment=compared, baseline=BM25)
    in_process("compare_experiment")
    assert set(stored_comparisons(experiment=compared, baseline=BM25)["LaMP-7"]) == {"none"}
    assert ExperimentComparison.objects.count() == 1


def test_runs_over_other_questions_are_not_compared(dev):
    partial = answered_run(dev, BETTER[:2], method="rag:bm25")
    experiment = ended(dev, {"none": answered_run(dev, POOR), "rag:bm25": partial})
    assert compare_with(experiment=experiment, baseline="rag:bm25", say=nobody) == {"LaMP-7": {}}


def test_a_column_of_which_everybody_was_erased_is_left_out(experiment):
    Prediction.objects.filter(run__family="peft").delete()
    found = compare_with(experiment=experiment, baseline="rag:bm25", say=nobody)
    assert set(found["LaMP-7"]) == {"none"}


def test_a_control_stays_compared_with_its_own_column(dev):
    columns = {
        method: answered_run(dev, answers, method=method)
        for method, answers in (("none", POOR), ("rag:bm25", BETTER), ("rag:bm25@swapped", ["x", "y", "z"]))
    }
    experiment = ended(dev, columns)
    found = compare_with(experiment=experiment, baseline="rag:bm25", say=nobody)
    assert set(found["LaMP-7"]) == {"none"}
    record_comparison(experiment=experiment, baseline="rag:bm25", comparisons=found)
    stored = stored_comparisons(experiment=experiment, baseline=BM25)
    table = experiment_table(experiment=experiment, baseline=BM25, comparisons=stored)
    against_none = experiment_table(experiment=experiment)
    assert table.rows[0].cells["rag:bm25"].control == against_none.rows[0].cells["rag:bm25"].control


def test_nothing_of_an_erased_person_is_in_it(compared, alice, workspace):
    before = list(ExperimentComparison.objects.values())
    erase_end_user(workspace=workspace, end_user=alice)
    assert list(ExperimentComparison.objects.values()) == before
    stored = json.dumps(before[0]["comparisons"])
    assert "alice" not in stored
    assert "roses" not in stored


def test_an_experiment_that_is_gone_leaves_the_job_nothing_to_do(experiment, in_process):
    request_comparison(experiment=experiment, baseline=BM25)
    experiment.delete()
    in_process("compare_experiment")
    assert Job.objects.get(kind="compare_experiment").state == "done"
    assert not ExperimentComparison.objects.exists()
