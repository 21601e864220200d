import pytest

from training_app.costs.estimates import Assumptions, CostEstimate, estimate, gpu_hours
from training_app.costs.flops import training_flops
from training_app.costs.hardware import Gpu, gpu_by_name
from training_app.costs.lengths import work_of_user
from training_app.costs.shapes import PUBLISHED

XXL = PUBLISHED["google/flan-t5-xxl"]
ROUND = Gpu("round", "a GPU of round numbers", bf16_tflops=100, memory_gb=80, watts=500, source="none")
WORK = work_of_user([(130, 3)] * 20, epochs=50, batch_size=16)


def test_hours_are_operations_by_the_reached_rate():
    assumptions = Assumptions(gpu=ROUND, utilization=0.5)
    assert gpu_hours(100e12 * 0.5 * 3600, assumptions) == pytest.approx(1)


def test_energy_and_co2e_follow_from_the_hours():
    cost = estimate(XXL, rank=8, work=WORK, assumptions=Assumptions(gpu=ROUND, pue=1.2, carbon_intensity=400))
    assert cost.kwh == pytest.approx(cost.gpu_hours * 0.5 * 1.2)
    assert cost.co2e_kg == pytest.approx(cost.kwh * 0.4)


def test_operations_steps_tokens_and_bytes_are_those_of_the_work():
    cost = estimate(XXL, rank=8, work=WORK, assumptions=Assumptions(gpu=ROUND))
    assert cost.flops == training_flops(XXL, rank=8, tokens=WORK.tokens).total
    assert (cost.adapters, cost.steps, cost.tokens) == (1, 100, 50 * 20 * 133)
    assert cost.float32_bytes > 1.99 * cost.bfloat16_bytes > 50e6


def test_checkpointing_costs_more_hours():
    plain = estimate(XXL, rank=8, work=WORK, assumptions=Assumptions(gpu=ROUND))
    again = estimate(XXL, rank=8, work=WORK, assumptions=Assumptions(gpu=ROUND, gradient_checkpointing=True))
    assert 1.3 < again.gpu_hours / plain.gpu_hours < 1.5


def test_a_million_users_cost_a_million_times_one():
    one = estimate(XXL, rank=8, work=WORK, assumptions=Assumptions(gpu=ROUND))
    many = (one + one).for_users(1_000_000)
    assert many.adapters == 1_000_000
    assert many.gpu_hours == pytest.approx(1_000_000 * one.gpu_hours)
    assert many.bfloat16_bytes == pytest.approx(1_000_000 * one.bfloat16_bytes)


def test_without_users_a_million_of_them_cannot_be_told():
    assert CostEstimate().for_users(1_000_000) == CostEstimate()


@pytest.mark.parametrize(
    "wrong",
    [{"utilization": 0}, {"utilization": 1.1}, {"utilization": float("nan")}, {"pue": 0.9}, {"carbon_intensity": -1}],
    ids=str,
)
def test_assumptions_that_cannot_hold_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        Assumptions(gpu=gpu_by_name("h200"), **wrong)
