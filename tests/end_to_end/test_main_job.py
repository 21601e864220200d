"""From LaMP files to a table, by the commands a person types, with workers and command killed on the way."""

import json
import random
import time

import pytest

from tests.end_to_end.installation import kill

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

TASKS = {"LaMP-2": "LaMP_2", "LaMP-7": "LaMP_7"}
METHODS = "none,rag:bm25,rag:recency,rag:contriever,peft:4,peft-rag:best:4"


@pytest.fixture(scope="module")
def benchmark(installation):
    """Two tasks of the synthetic benchmark, imported."""
    folder = installation.var / "data"
    installation.run("lamp", "synthesize", "--out", folder, "--users", "5", "--seed", "3", "--tasks", ",".join(TASKS))
    where = ("--workspace", "lab", "--dataset", "made", "--split", "dev")
    for task in TASKS.values():
        installation.run("import_lamp", *where, *files(folder, task))
    return folder


def files(folder, task):
    return ("--questions", folder / task / "dev_questions.json", "--outputs", folder / task / "dev_outputs.json")


def experiment(*more):
    settings = (
        "--workspace",
        "lab",
        "--name",
        "killed",
        "--dataset",
        "made",
        "--split",
        "dev",
        "--base-model",
        "small",
    )
    return (*settings, "--methods", METHODS, "--epochs", "2", "--max-output-tokens", "24", *more)


@pytest.fixture(scope="module")
def report(installation, benchmark):
    """The table of an experiment that was killed twice, the second time with all its workers."""
    draw = random.Random(5)
    path = installation.var / "report.json"
    for _ in range(2):
        process = installation.start("run_experiment", *experiment())
        time.sleep(draw.uniform(12, 25))
        for worker in draw.sample(workers := installation.workers(), k=min(2, len(workers))):
            kill(worker)
        time.sleep(draw.uniform(2, 6))
        kill(process)
        process.communicate()
    installation.run("run_experiment", *experiment("--json", path))
    return json.loads(path.read_text())


def test_every_cell_of_the_table_has_a_value_for_every_question(installation, report):
    counts = installation.ask("dict(DatasetSplit.objects.values_list('task', 'question_count'))")
    assert [(row["task"], row["metric"]) for row in report["rows"]] == [
        ("LaMP-2", "accuracy"),
        ("LaMP-2", "f1"),
        ("LaMP-7", "rouge-1"),
        ("LaMP-7", "rouge-L"),
    ]
    for row in report["rows"]:
        assert list(row["cells"]) == METHODS.split(",")
        assert {cell["n"] for cell in row["cells"].values()} == {counts[row["task"]]}
        assert all("p_value" in cell for key, cell in row["cells"].items() if key != "none")
    assert set(report["average_relative_improvement"]) == {"rag", "peft", "peft-rag"}


def test_each_question_was_answered_once_and_each_adapter_trained_once(installation, report):
    runs = "[r.predictions.count() == r.question_count for r in Run.objects.all()]"
    assert all(installation.ask(runs))
    assert installation.ask("Adapter.objects.count()") == 10
    assert installation.ask("Job.objects.filter(state__in=['waiting', 'running', 'failed']).count()") == 0
    assert installation.ask("Generation.objects.count()") == 0


def test_the_same_command_again_asks_for_nothing(installation, report):
    before = installation.ask("Job.objects.count()")
    installation.run("run_experiment", *experiment())
    assert installation.ask("Job.objects.count()") == before


def test_exported_predictions_score_as_stored(installation, benchmark, report):
    for key, task in TASKS.items():
        path = installation.var / f"{task}.json"
        named = ("--workspace", "lab", "--name", "killed", "--task", key, "--method", "peft-rag:best:4")
        installation.run("export_predictions", *named, "--out", path)
        golds = benchmark / task / "dev_outputs.json"
        scored = json.loads(installation.run("lamp", "score", "--golds", golds, "--predictions", path))
        stored = {
            row["metric"]: row["cells"]["peft-rag:best:4"]["value"] for row in report["rows"] if row["task"] == key
        }
        assert scored == stored


def test_recency_without_dates_is_refused_with_the_reason(installation, benchmark):
    folder = installation.var / "undated"
    folder.mkdir()
    questions = json.loads((benchmark / "LaMP_7" / "dev_questions.json").read_text())
    for question in questions:
        del question["user_id"]
        for entry in question["profile"]:
            del entry["date"]
    (folder / "questions.json").write_text(json.dumps(questions))
    where = ("--workspace", "lab", "--dataset", "undated", "--split", "dev")
    installation.run("import_lamp", *where, "--questions", folder / "questions.json")
    refusal = installation.run("run_experiment", *where, "--name", "x", "--methods", "none,rag:recency", expect=2)
    assert "needs dates" in refusal
    assert not installation.ask("Experiment.objects.filter(name='x').exists()")
