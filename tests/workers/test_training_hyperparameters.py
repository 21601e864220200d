"""What the product offers of a training's hyperparameters is what the engine has, with the same defaults."""

import pytest

from eval_app import encoder_trainings, selector_runs
from workers.engine.retriever_training import RetrieverHyperparameters
from workers.engine.selector_training import SelectorHyperparameters
from workers.small_models.recipe import FULL, Teacher
from workers.small_models.selector_training import hyperparameters


def defaults_of(table):
    return {name: bounds.default for name, bounds in table.items()}


def test_the_defaults_of_selectors_are_the_engines():
    assert defaults_of(selector_runs.HYPERPARAMETERS) == SelectorHyperparameters().as_dict()


def test_the_defaults_of_encoders_are_the_engines_beside_how_many_documents_are_judged():
    offered = defaults_of(encoder_trainings.HYPERPARAMETERS)
    offered.pop(encoder_trainings.JUDGED_DOCUMENTS)
    assert offered == RetrieverHyperparameters().as_dict()


@pytest.mark.parametrize("one", FULL.selector_rounds)
def test_the_training_of_the_shipped_selectors_may_be_asked_for(one):
    shipped = hyperparameters(FULL, one).as_dict()
    assert shipped["label_temperature"] == (0.1 if one.teacher == Teacher.FEEDBACK else 1.0)
    assert [
        name for name, value in shipped.items() if selector_runs.HYPERPARAMETERS[name].problem_of(value) is not None
    ] == []
