"""An output's worth as feedback: every figure by hand."""

from dataclasses import replace

import pytest

from lamp.catalogue import CATALOGUE, F1, LAMP_2, LAMP_3, RMSE
from lamp.tasks import Rating
from lamp.utility import utility


@pytest.mark.parametrize(
    ("key", "output", "gold", "worth"),
    [
        # accuracy, stripped and with its case
        ("LaMP-1", "[1]", "[1]", 1),
        ("LaMP-1", " [2]\n", "[2]", 1),
        ("LaMP-1", "[1]", "[2]", 0),
        ("LaMP-1", "1", "[1]", 0),
        ("LaMP-2", "dark comedy", "dark comedy ", 1),
        ("LaMP-2", "Dark comedy", "dark comedy", 0),
        ("LaMP-2", "", "comedy", 0),
        ("LaMP-2N", "style & beauty", "style & beauty", 1),
        ("LaMP-2N", "women", "style & beauty", 0),
        # MAE: worst = max(|gold - 1|, |gold - 5|)
        ("LaMP-3", "5", "5", 1),
        ("LaMP-3", "1", "5", 0),  # worst 4, error 4
        ("LaMP-3", "4", "5", 3 / 4),
        ("LaMP-3", "4", "3", 1 / 2),  # worst 2, error 1
        ("LaMP-3", "1", "2", 2 / 3),  # worst 3, error 1
        ("LaMP-3", "3.5", "2", 1 / 2),
        ("LaMP-3", "no idea", "4", 0),
        ("LaMP-3", "9", "4", 0),  # error 5 is more than the worst on the scale
        ("LaMP-3", "1e100", "4", 0),
        # ROUGE-1's F-measure
        ("LaMP-4", "The cat sat", "the cat", 0.8),  # precision 2/3, recall 1
        ("LaMP-4", "a dog", "the cat", 0),
        ("LaMP-4", "", "the cat", 0),
        ("LaMP-5", "cat the", "the cat", 1),  # the order counts for ROUGE-L alone
        ("LaMP-6", "the cat", "the cat sat down", 2 / 3),  # precision 1, recall 1/2
        ("LaMP-7", "so tired", "so very tired today", 2 / 3),
    ],
)
def test_worth_by_hand(key, output, gold, worth):
    assert utility(CATALOGUE[key], output=output, gold=gold) == pytest.approx(worth, abs=1e-12)


def test_the_first_metric_decides():
    rmse = replace(LAMP_3, metrics=(RMSE,))
    assert utility(rmse, output="4", gold="5") == 15 / 16  # squared: worst 16, error 1
    f1 = replace(LAMP_2, metrics=(F1,))
    assert [utility(f1, output=tag, gold="comedy") for tag in ("comedy", "action")] == [1, 0]


def test_a_rating_s_worst_is_that_of_the_task_s_own_scale():
    to_ten = replace(LAMP_3, rating=Rating(field="score", lowest=0, highest=10))
    assert utility(to_ten, output="5", gold="10") == 1 / 2
    assert utility(to_ten, output="-3", gold="10") == 0


@pytest.mark.parametrize("task", CATALOGUE.values(), ids=lambda task: task.key)
def test_a_perfect_output_is_worth_1_in_every_task(task):
    gold = task.labels[0] if task.labels else "2" if task.rating else "some words"
    assert utility(task, output=gold, gold=gold) == 1
