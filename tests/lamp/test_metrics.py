import math

import pytest

from lamp.catalogue import CATALOGUE, get_task
from lamp.metrics import evaluate, macro_f1, mean_score, sample_scores
from lamp.problems import LampProblem

LAMP_1, LAMP_2, LAMP_3, LAMP_4 = (get_task(f"LaMP-{number}") for number in (1, 2, 3, 4))


def test_a_label_is_compared_stripped_and_with_its_case():
    assert sample_scores(LAMP_2, " comedy\n", "comedy ") == {"accuracy": 1.0}
    assert sample_scores(LAMP_2, "Comedy", "comedy") == {"accuracy": 0.0}


@pytest.mark.parametrize(
    ("prediction", "gold", "error"),
    [
        ("4", "4", 0),
        (" 2.5 ", "4", 1.5),
        ("9", "4", 5),
        ("good", "2", 3),
        ("good", "4", 3),
        ("good", "3", 2),
        ("", "1", 4),
        ("nan", "5", 4),
        ("inf", "2", 3),
        ("1e308", "2", 3),
        ("1e100", "2", 1e100),
        ("-Infinity", "4", 3),
        ("1e999", "4", 3),
        ("1_0", "4", 6),
        ("٣", "3", 0),
    ],
)
def test_a_rating_that_is_no_finite_number_counts_as_the_end_farther_from_the_gold(prediction, gold, error):
    assert sample_scores(LAMP_3, prediction, gold) == {"MAE": error, "RMSE": error**2}


def test_texts_score_by_rouge():
    assert sample_scores(LAMP_4, " The cat sat", "the cat\n") == {"rouge-1": 0.8, "rouge-L": 0.8}


def test_rmse_of_a_split_is_the_root_of_the_mean_squared_error():
    assert mean_score("RMSE", [1.0, 9.0]) == math.sqrt(5)


def test_a_split_of_ratings():
    predictions, golds = {"a": "1", "b": "x"}, {"a": "2", "b": "5"}
    assert evaluate(LAMP_3, predictions, golds) == {"MAE": 2.5, "RMSE": math.sqrt((1 + 16) / 2)}


def test_macro_f1_by_hand():
    pairs = [("a", "a"), ("a", "b"), ("b", "b"), ("nothing", "c")]
    # a: 2·1 / (2 + 1); b: 2·1 / (1 + 2); c and d: 0.
    assert macro_f1(pairs, labels="abcd") == pytest.approx((2 / 3 + 2 / 3) / 4)


def test_macro_f1_counts_labels_that_nobody_has():
    tags = {str(number): tag for number, tag in enumerate(LAMP_2.labels[:3])}
    assert evaluate(LAMP_2, tags, tags) == {"accuracy": 1.0, "f1": pytest.approx(3 / 15)}


@pytest.mark.parametrize("task", CATALOGUE.values(), ids=lambda task: task.key)
def test_a_perfect_prediction_is_perfect_in_the_metrics_of_the_catalogue(task):
    golds = {str(number): label for number, label in enumerate(task.labels or ("one text", "another"))}
    values = evaluate(task, golds, golds)
    assert list(values) == [metric.name for metric in task.metrics]
    assert [values[metric.name] for metric in task.metrics] == [
        float(metric.higher_is_better) for metric in task.metrics
    ]


@pytest.mark.parametrize(
    ("predictions", "golds", "expected"),
    [
        ({}, {"1": "x"}, "1 of 1 golds have no prediction: 1"),
        ({"1": "x", "2": "x"}, {"1": "x"}, "1 of 2 predictions have no gold: 2"),
        ({}, {str(n): "x" for n in range(9)}, "9 of 9 golds have no prediction: 0, 1, 2, 3, 4, …"),
        ({}, {}, "there is none to score against"),
    ],
)
def test_ids_must_be_the_same_on_both_sides(predictions, golds, expected):
    with pytest.raises(LampProblem) as problem:
        evaluate(LAMP_4, predictions, golds)
    assert expected in str(problem.value)
