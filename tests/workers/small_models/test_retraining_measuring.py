"""What is said of retraining on schedule is measured as it says."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lamp.catalogue import get_task
from training_app.retraining.judging import Candidate
from workers.engine.base_model import load_base_model
from workers.small_models import SMALL_T5
from workers.small_models.measuring import ADAPTERS
from workers.small_models.retraining_measuring import (
    ALWAYS,
    NEVER,
    NONE,
    PROMOTED,
    SWEEPS,
    WAYS,
    Measured,
    lives,
    measure,
    table,
)

TASK = "LaMP-7"
USERS = 4


@pytest.fixture(scope="module")
def base():
    return load_base_model(str(SMALL_T5))


def test_between_two_sweeps_everybody_has_written_something():
    crowd = lives(get_task(TASK), users=20, seed=1, drift=0.8)
    assert crowd
    for life in crowd:
        assert all(before < after for before, after in pairwise(life.looks))
        assert [place for sweep in range(len(SWEEPS)) for place in life.between(sweep)] == list(
            range(life.looks[0], len(life.pairs))
        )


def test_adapters_that_learn_nothing_make_no_difference_and_no_trial_is_refused(base):
    learning_nothing = replace(ADAPTERS, epochs=1, learning_rate=1e-12)
    measured = measure(base, TASK, users=USERS, seed=1, drift=0.8, hyperparameters=learning_nothing)
    crowd = len(lives(get_task(TASK), users=USERS, seed=1, drift=0.8))
    assert crowd
    for way in WAYS:
        assert np.array_equal(measured.by_user[way], measured.by_user[NONE])
    assert measured.outcomes == {Candidate.TRIAL: crowd * len(SWEEPS)}


def test_the_table_pairs_the_ways_by_user():
    scores = np.array([0.2, 0.4, 0.6])
    one = Measured(
        "rouge-1",
        True,
        {NONE: scores, NEVER: scores, ALWAYS: scores + 0.1, PROMOTED: scores + 0.2},
        {Candidate.TRIAL: 3},
    )
    row = next(line for line in table({TASK: one}).splitlines() if line.startswith(f"| {TASK}"))
    assert row == "| LaMP-7 | rouge-1 | 3 | 0.400 | 0.400 | 0.500 | 0.600 | 0.250 | 0.250 | 3, 0, 0 |"


def test_an_error_that_falls_is_a_gain():
    scores = np.array([1.0, 2.0])
    one = Measured("MAE", False, dict.fromkeys((NONE, NEVER, ALWAYS), scores) | {PROMOTED: scores - 0.5}, {})
    assert "never, always, all users of all tasks" in table({"LaMP-3": one})
    assert "+0.5000" in table({"LaMP-3": one})
