import math
import random

import numpy as np
import pytest

from eval_app.scoring import RunScores, Sample, score_run, score_sample
from lamp.catalogue import CATALOGUE, get_task
from lamp.metrics import evaluate
from tests.eval_app.runs import answers, run


def test_accuracy_per_sample_user_and_split():
    scores = run(
        "LaMP-1",
        [
            ("q1", "ann", "[1]", "[1]"),
            ("q2", "ann", "[2]", "[1]"),
            ("q3", "ann", " [1] ", "[1]"),
            ("q4", "bob", "[2]", "[1]"),
        ],
    )
    assert scores.sample_values("accuracy").tolist() == [1, 0, 1, 0]
    assert scores.values == {"accuracy": 0.5}
    assert [(user.end_user, user.questions, user.values) for user in scores.user_scores()] == [
        ("ann", 3, {"accuracy": pytest.approx(2 / 3)}),
        ("bob", 1, {"accuracy": 0.0}),
    ]


def test_rmse_is_the_root_of_the_mean_squared_error_for_a_user_as_for_the_split():
    scores = answers("LaMP-3", golds=["1", "5", "3"], predictions=["3", "5", "4"], users=["ann", "ann", "bob"])
    assert scores.values == pytest.approx({"MAE": 1.0, "RMSE": math.sqrt(5 / 3)})
    assert scores.user_means("RMSE").tolist() == [2.0, 1.0]
    ann, bob = scores.user_scores()
    assert ann.values == pytest.approx({"MAE": 1.0, "RMSE": math.sqrt(2)})
    assert bob.values == {"MAE": 1.0, "RMSE": 1.0}


def test_macro_f1_belongs_to_the_split_alone():
    scores = answers("LaMP-2", golds=["comedy", "action"], predictions=["comedy", "nonsense"])
    assert scores.values == pytest.approx({"accuracy": 0.5, "f1": 1 / 15})
    assert all(user.values.keys() == {"accuracy"} for user in scores.user_scores())


def test_rouge_by_hand():
    scores = answers("LaMP-4", golds=["a b c d"], predictions=["a c"])
    # 2 of 2 predicted words are right, 2 of 4 words are found: F = 2/3.
    assert scores.values == pytest.approx({"rouge-1": 2 / 3, "rouge-L": 2 / 3})


@pytest.mark.parametrize("task_key", CATALOGUE)
def test_the_split_scores_what_the_score_command_scores(task_key):
    task = get_task(task_key)
    chance = random.Random(1)
    words = list(task.labels or ("one", "two", "three", "four five"))
    golds = {f"q{at}": chance.choice(words) for at in range(60)}
    predictions = {key: chance.choice([*words, "", "none of them"]) for key in golds}
    samples = [Sample(key, f"u{at % 7}", predictions[key], golds[key]) for at, key in enumerate(golds)]
    assert score_run(task, samples).values == evaluate(task, predictions, golds)


def test_the_order_of_rows_does_not_matter():
    rows = [(f"q{at}", f"u{at % 3}", "x y", "y z w"[: at % 5 + 1]) for at in range(20)]
    one, other = run("LaMP-4", rows), run("LaMP-4", reversed(rows))
    assert one.values == other.values
    assert one.user_scores() == other.user_scores()
    assert one.question_set == other.question_set
    assert one.interval("rouge-1") == other.interval("rouge-1")


def test_recorded_scores_make_the_same_run_as_fresh_ones():
    task = get_task("LaMP-3")
    recorded = [score_sample(task, Sample(f"q{at}", at % 2, "3", str(at % 5 + 1))) for at in range(9)]
    assert RunScores.of(task, recorded).values == score_run(task, [one.sample for one in recorded]).values


@pytest.mark.parametrize(
    "changed",
    [("q9", "u1", "[1]", "[1]"), ("q1", "u2", "[1]", "[1]"), ("q1", "u1", "[1]", "[2]")],
    ids=["another question", "another user", "another gold"],
)
def test_the_question_set_names_questions_users_and_golds(changed):
    assert run("LaMP-1", [changed]).question_set != run("LaMP-1", [("q1", "u1", "[1]", "[1]")]).question_set


def test_the_question_set_does_not_depend_on_predictions():
    one, other = (run("LaMP-1", [("q1", "u1", text, "[1]")]) for text in ("[1]", "[2]"))
    assert one.question_set == other.question_set


def test_a_run_without_samples_has_no_score():
    with pytest.raises(ValueError, match="without a sample"):
        run("LaMP-1", [])


def test_a_question_answered_twice_is_refused():
    with pytest.raises(ValueError, match="'q1' is answered twice"):
        run("LaMP-1", [("q1", "u1", "[1]", "[1]")] * 2)


@pytest.mark.parametrize("task_key", ["LaMP-2", "LaMP-3", "LaMP-4"])
def test_every_metric_lies_in_its_interval(task_key):
    generator = np.random.default_rng(0)
    words = {"LaMP-2": ["comedy", "action"], "LaMP-3": ["1", "3", "5"], "LaMP-4": ["a b", "b c", "c a"]}[task_key]
    golds, predictions = generator.choice(words, size=(2, 80)).tolist()
    scores = answers(task_key, golds, predictions, users=[f"u{at % 30}" for at in range(80)])
    for metric in scores.task.metrics:
        low, high = scores.interval(metric.name)
        assert low < scores.values[metric.name] < high
