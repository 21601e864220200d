import io
import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tests.lamp.lamp_files import outputs, write


def score(tmp_path, task, golds, predictions, *, predicted_task=None) -> dict:
    out = io.StringIO()
    call_command(
        "lamp",
        "score",
        golds=write(tmp_path / "golds.json", outputs(task, golds)),
        predictions=write(tmp_path / "predictions.json", outputs(predicted_task or task, predictions)),
        stdout=out,
    )
    return json.loads(out.getvalue())


def refusal(*arguments, **more) -> str:
    with pytest.raises(CommandError) as caught:
        score(*arguments, **more)
    assert caught.value.returncode == 2
    return str(caught.value)


def test_ratings(tmp_path):
    assert score(tmp_path, "LaMP_3", {"1": "5", "2": 4}, {"1": "3", "2": "4"}) == {"MAE": 1.0, "RMSE": 2**0.5}


def test_texts(tmp_path):
    assert score(tmp_path, "LaMP_7", {"1": "the cat "}, {"1": "The cat sat"}) == {"rouge-1": 0.8, "rouge-L": 0.8}


def test_tags_by_accuracy_and_f1_over_all_of_them(tmp_path):
    golds = {"1": "comedy", "2": "action"}
    assert score(tmp_path, "LaMP_2", golds, {"1": "comedy", "2": "none"}) == {
        "accuracy": 0.5,
        "f1": pytest.approx(1 / 15),
    }


def test_citations_by_accuracy_and_f1(tmp_path):
    golds = {"1": "[1]", "2": "[2]"}
    assert score(tmp_path, "LaMP_1", golds, {"1": "[1]", "2": "[1]"}) == {"accuracy": 0.5, "f1": pytest.approx(1 / 3)}


def test_the_news_version_is_known_by_its_labels(tmp_path):
    golds = {"1": "politics", "2": "style & beauty"}
    assert score(tmp_path, "LaMP_2", golds, golds) == {"accuracy": 1.0, "f1": pytest.approx(2 / 15)}


def test_ids_that_differ_are_refused(tmp_path):
    assert "1 of 2 golds have no prediction: 2" in refusal(tmp_path, "LaMP_7", {"1": "a", "2": "b"}, {"1": "a"})


def test_predictions_of_another_task_are_refused(tmp_path):
    message = refusal(tmp_path, "LaMP_7", {"1": "a"}, {"1": "a"}, predicted_task="LaMP_4")
    assert 'predictions.json, field "task": names another task' in message


def test_golds_of_no_label_are_refused(tmp_path):
    assert "is none of the 15 labels of LaMP-2" in refusal(tmp_path, "LaMP_2", {"1": "politics", "2": "comedy"}, {})


def test_golds_without_a_known_task_are_refused(tmp_path):
    assert 'golds.json, field "task": names no task' in refusal(tmp_path, "LaMP_9", {"1": "a"}, {"1": "a"})
