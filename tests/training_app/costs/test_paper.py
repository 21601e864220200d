"""The model against what is known of the paper's experiment and of the prototype's estimate of it."""

import pytest

from training_app.costs.estimates import Assumptions, estimate
from training_app.costs.hardware import gpu_by_name
from training_app.costs.paper import GPU_HOURS, RANKS, TASKS, paper_work, user_work
from training_app.costs.shapes import PUBLISHED

XXL = PUBLISHED["google/flan-t5-xxl"]


def experiment(gpu: str):
    assumptions = Assumptions(gpu=gpu_by_name(gpu))
    costs = [estimate(XXL, rank=rank, work=paper_work(), assumptions=assumptions) for rank in RANKS]
    return sum(costs[1:], costs[0])


def test_the_paper_trained_37560_adapters():
    assert experiment("a100-80gb").adapters == pytest.approx(37_560)


def test_an_adapter_takes_about_19_pflop_at_about_22_gflop_a_token():
    cost = experiment("a100-80gb")
    assert cost.pflop / cost.adapters == pytest.approx(19, rel=0.1)
    assert cost.flops / cost.tokens == pytest.approx(22e9, rel=0.03)


def test_the_experiment_takes_about_1620_a100_hours_at_40_percent():
    assert experiment("a100-80gb").gpu_hours == pytest.approx(1620, rel=0.1)


def test_that_is_a_small_part_of_what_the_paper_spent():
    assert experiment("a100-80gb").gpu_hours < GPU_HOURS / 5


def test_hours_go_by_the_peak_rate():
    assert experiment("a100-80gb").gpu_hours / experiment("h200").gpu_hours == pytest.approx(989 / 312)


@pytest.mark.parametrize("task", TASKS)
def test_lengths_keep_to_the_limits(task):
    tokens = user_work(task).tokens
    assert tokens.source / tokens.pairs < 512
    assert tokens.target / tokens.pairs < 128
    # A mean square is at least the square of the mean.
    assert tokens.source_squared * tokens.pairs >= 0.999999 * tokens.source**2
    assert tokens.target_squared * tokens.pairs >= 0.999999 * tokens.target**2
