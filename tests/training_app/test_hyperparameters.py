import pytest

from training_app.hyperparameters import HYPERPARAMETERS, InvalidHyperparameters, complete_hyperparameters
from workers.engine.hyperparameters import Hyperparameters


def test_what_is_left_out_takes_the_paper_s_value_in_the_engine_s_own_words():
    assert complete_hyperparameters({}) == Hyperparameters().as_dict()
    assert [type(value) for value in complete_hyperparameters({}).values()] == [
        type(value) for value in Hyperparameters().as_dict().values()
    ]


def test_a_whole_number_stands_for_the_same_choice_as_the_number_with_a_point():
    assert repr(complete_hyperparameters({"alpha": 16})) == repr(complete_hyperparameters({"alpha": 16.0}))


@pytest.mark.parametrize("name", HYPERPARAMETERS)
def test_the_engine_takes_whatever_lies_within_the_bounds(name):
    bounds = HYPERPARAMETERS[name]
    for value in (bounds.least, bounds.most):
        Hyperparameters.from_dict(complete_hyperparameters({name: value}))


@pytest.mark.parametrize("name", HYPERPARAMETERS)
@pytest.mark.parametrize("beyond", [-1, -1e-9, 10**400, 1e300, "8", True, None, [8]])
def test_what_lies_beyond_or_is_no_number_is_refused_with_what_would_do(name, beyond):
    with pytest.raises(InvalidHyperparameters) as refusal:
        complete_hyperparameters({name: beyond})
    [problem] = refusal.value.problems
    assert problem.field == name
    assert problem.remedy.startswith("write a ")


def test_every_problem_is_named_at_once():
    with pytest.raises(InvalidHyperparameters) as refusal:
        complete_hyperparameters({"rank": 0, "epochs": 1.5, "temperature": 1})
    assert {problem.field for problem in refusal.value.problems} == {"rank", "epochs", "temperature"}
