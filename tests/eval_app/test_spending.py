"""What a method costs, from what its run recorded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval_app.methods import Family
from eval_app.spending import Power, Projection, Spending, mean_spending, projection, spending

POWER = Power(watts=360, pue=2)
COSTS = {
    "input_tokens": 400,
    "output_tokens": 40,
    "retrieval_ms": 3.0,
    "adapter_ms": 2.0,
    "model_ms": 15.0,
    "adapters": 4,
    "training_seconds": 20.0,
    "adapter_bytes": 4000,
}


def of(family, costs=COSTS, questions=10):
    return spending(family=family, costs=costs, questions=questions, power=POWER)


def test_training_is_a_user_s_and_prompts_are_a_question_s():
    found = of(Family.PEFT_RAG)
    assert (found.training_seconds, found.adapter_bytes, found.prompt_tokens) == (5.0, 1000.0, 40.0)
    assert (found.retrieval_ms, found.adapter_ms, found.generation_ms, found.latency_ms) == (3.0, 2.0, 15.0, 20.0)


def test_energy_is_seconds_times_power_of_machine_and_site():
    found = of(Family.PEFT_RAG)
    assert found.training_wh == pytest.approx(5 * 360 * 2 / 3600)
    assert found.answer_wh == pytest.approx(0.020 * 360 * 2 / 3600)


def test_what_a_method_does_not_do_costs_nothing():
    nothing = {**COSTS, "adapters": 0, "training_seconds": None, "adapter_bytes": None, "retrieval_ms": None}
    found = of(Family.NONE, {**nothing, "adapter_ms": None})
    assert (found.training_seconds, found.adapter_bytes, found.retrieval_ms, found.adapter_ms) == (0, 0, 0, 0)
    assert of(Family.PEFT).retrieval_ms == 0
    assert of(Family.RAG).training_wh == 0


@pytest.mark.parametrize("costs", [None, {}, dict.fromkeys(COSTS)])
def test_what_was_not_recorded_is_not_known(costs):
    found = of(Family.PEFT_RAG, costs)
    assert found == Spending()


def test_of_what_was_made_elsewhere_nothing_is_known():
    assert of(Family.IMPORTED, {**dict.fromkeys(COSTS), "adapters": 0}) == Spending()


def test_adapters_that_are_gone_are_not_free():
    assert of(Family.PEFT, {**COSTS, "adapters": 0, "training_seconds": None}).training_seconds is None


def test_a_run_that_answered_nothing_has_no_prompts_to_measure():
    assert of(Family.NONE, questions=0).prompt_tokens is None


def test_a_mean_is_not_known_where_a_part_is_not():
    two = [Spending(training_seconds=1, prompt_tokens=10), Spending(training_seconds=3)]
    assert mean_spending(two) == Spending(training_seconds=2.0)
    assert mean_spending([]) == Spending()


@given(st.floats(0, 1e6), st.integers(1, 10**10))
def test_a_projection_is_so_many_times_a_user(seconds, users):
    one = spending(
        family=Family.PEFT,
        costs={"adapters": 1, "training_seconds": seconds, "adapter_bytes": 1000},
        questions=1,
        power=POWER,
    )
    assert projection(one, users=users).training_hours == pytest.approx(seconds * users / 3600)
    assert projection(one, users=users).stored_bytes == 1000 * users
    assert projection(one, users=users).training_kwh == pytest.approx(seconds * users / 3600 * 0.72)


def test_a_projection_of_the_unknown_is_unknown():
    assert projection(Spending(), users=5) == Projection(None, None, None)


@pytest.mark.parametrize(("watts", "pue"), [(0, 1), (-5, 1), (1e9, 1), (100, 0.5), (100, 11)])
def test_a_power_that_no_machine_has_is_refused(watts, pue):
    with pytest.raises(ValueError):
        Power(watts, pue)
