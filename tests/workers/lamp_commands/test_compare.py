import argparse
import io
import json
import math
import os
from pathlib import Path

import pytest

from lamp.problems import LampProblem
from workers.lamp_commands import compare


def outputs(path, task, answers):
    path.write_text(json.dumps({"task": task, "golds": [{"id": key, "output": text} for key, text in answers.items()]}))
    return path


@pytest.fixture
def compared(tmp_path):
    """Run the command as a person would; give what it prints."""

    def run(task, golds, a, b, *more):
        files = [
            outputs(tmp_path / f"{name}.json", task, rows) for name, rows in (("golds", golds), ("a", a), ("b", b))
        ]
        parser = argparse.ArgumentParser()
        compare.add_arguments(parser)
        out = io.StringIO()
        options = parser.parse_args(["--golds", *map(str, files), *map(str, more)])
        compare.run({**vars(options), "stdout": out})
        return out.getvalue()

    return run


def ratings(*numbers):
    return {str(at): str(number) for at, number in enumerate(numbers)}


def test_both_are_scored_and_b_is_held_against_a(compared):
    report = json.loads(compared("LaMP_3", ratings(5, 1, 3), ratings(3, 1, 3), ratings(4, 1, 5)))
    assert (report["task"], report["n"], report["users"]) == ("LaMP-3", 3, 3)
    assert report["metrics"]["MAE"] == {
        "higher_is_better": False,
        "a": pytest.approx(2 / 3),
        "b": 1.0,
        "difference": pytest.approx(1 / 3),
        "relative_gain": pytest.approx(-0.5),
        "p_value": 1.0,
    }
    assert report["metrics"]["RMSE"]["b"] == pytest.approx(math.sqrt(5 / 3))
    assert (report["wins"], report["ties"], report["losses"]) == (1, 1, 1)


def test_a_classification_has_accuracy_and_f1_as_score_has(compared):
    golds = {"1": "[1]", "2": "[2]", "3": "[2]"}
    report = json.loads(compared("LaMP_1", golds, golds, {"1": "[1]", "2": "[1]", "3": "[2]"}))
    assert {name: metric["b"] for name, metric in report["metrics"].items()} == {
        "accuracy": pytest.approx(2 / 3),
        "f1": pytest.approx(2 / 3),
    }


def test_a_gain_over_zero_is_null(compared):
    report = json.loads(compared("LaMP_4", {"1": "a"}, {"1": "b"}, {"1": "a"}))
    assert report["metrics"]["rouge-1"]["relative_gain"] is None
    assert report["metrics"]["rouge-1"]["difference"] == 1.0


def test_the_output_is_the_same_each_time_and_draws_follow_the_seed(compared):
    golds = {str(at): "[1]" for at in range(60)}
    a = {key: "[2]" if int(key) % 3 else "[1]" for key in golds}
    b = {key: "[2]" if int(key) % 2 else "[1]" for key in golds}
    assert compared("LaMP_1", golds, a, b) == compared("LaMP_1", golds, a, b, "--seed", "0")
    seeds = {
        json.loads(compared("LaMP_1", golds, a, b, "--seed", seed, "--draws", 500))["metrics"]["accuracy"]["p_value"]
        for seed in range(4)
    }
    assert len(seeds) > 1


def test_questions_tell_the_users(compared, tmp_path):
    entry = {"id": "d", "text": "t", "title": "h", "date": "2020-01-01"}
    questions = [
        {
            "id": str(at),
            "user_id": at // 2,
            "input": "Generate a headline for the following article: x",
            "profile": [entry],
        }
        for at in range(4)
    ]
    (tmp_path / "questions.json").write_text(json.dumps(questions))
    golds = {str(at): "a b" for at in range(4)}
    # User 0 gains on one question what they lose on the other; user 1 gains.
    a, b = {"0": "a b", "1": "x", "2": "x", "3": "x"}, {"0": "x", "1": "a b", "2": "a b", "3": "x"}
    alone = json.loads(compared("LaMP_4", golds, a, b))
    known = json.loads(compared("LaMP_4", golds, a, b, "--questions", tmp_path / "questions.json"))
    assert (alone["users"], alone["wins"], alone["ties"], alone["losses"]) == (4, 2, 1, 1)
    assert (known["users"], known["wins"], known["ties"], known["losses"]) == (2, 1, 1, 0)
    assert known["metrics"]["rouge-1"]["p_value"] == 1.0
    assert known["metrics"]["rouge-1"]["b"] == alone["metrics"]["rouge-1"]["b"]

    with pytest.raises(LampProblem, match=r"questions\.json, question 9: has a gold"):
        compared("LaMP_4", {"9": "a"}, {"9": "a"}, {"9": "a"}, "--questions", tmp_path / "questions.json")


@pytest.mark.parametrize(
    ("a", "b", "complaint"),
    [
        ({"1": "x"}, {"1": "x", "2": "x"}, r"a\.json.*1 of 2 golds have no prediction: 2"),
        ({"1": "x", "2": "x"}, {"1": "x", "2": "x", "3": "x"}, r"b\.json.*have no gold: 3"),
    ],
)
def test_the_file_whose_ids_do_not_match_is_named(compared, a, b, complaint):
    with pytest.raises(LampProblem, match=complaint):
        compared("LaMP_4", {"1": "x", "2": "y"}, a, b)


def test_golds_without_their_task_are_refused(compared):
    with pytest.raises(LampProblem, match='field "task"'):
        compared("LaMP_9", {"1": "x"}, {"1": "x"}, {"1": "x"})


@pytest.mark.skipif("LAMP_DATA" not in os.environ, reason="needs LAMP_DATA, the folder of real LaMP files")
def test_real_golds_with_the_input_itself_as_the_prediction(tmp_path):
    folder = Path(os.environ["LAMP_DATA"]) / "LaMP_7_dev_user_based"
    questions = next(folder.glob("*questions*.json"))
    golds = next(folder.glob("*outputs*.json"))
    inputs = {row["id"]: row["input"].partition(":")[2] for row in json.loads(questions.read_text())}
    copied, silent = outputs(tmp_path / "a.json", "LaMP_7", inputs), dict.fromkeys(inputs, "")
    out = io.StringIO()
    options = {"golds": golds, "a": outputs(tmp_path / "b.json", "LaMP_7", silent), "b": copied, "questions": questions}
    compare.run({**options, "seed": 0, "draws": 1000, "stdout": out})
    report = json.loads(out.getvalue())
    assert (report["n"], report["users"]) == (500, 500)
    assert report["metrics"]["rouge-1"]["p_value"] == 1 / 1001
    assert report["wins"] > 450
