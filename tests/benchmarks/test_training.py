"""What stands on the other side of the training benchmark learns exactly what the engine does."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from benchmarks import training
from benchmarks.random_models import MIDDLE, random_t5
from benchmarks.training import PAPER, People, UserByUser, _against_trainer, _assert_equal
from benchmarks.workloads import PairLength
from tests.workers.engine.models import words_tokenizer

# More pairs than a batch holds, a partial batch, and a single pair.
USERS = [[PairLength(4 + place % 5, 3 + place % 7) for place in range(count)] for count in (18, 5, 1)]


@pytest.fixture(scope="module")
def people() -> People:
    tiny = replace(MIDDLE, d_model=32, d_ff=48, num_heads=1, num_layers=2, num_decoder_layers=2, vocab_size=63)
    return People.of(USERS, partial(random_t5, tiny), words_tokenizer())


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    with training._quiet():
        yield


def test_both_sides_make_the_same_adapters(people):
    _assert_equal(people, epochs=2)


def test_a_difference_stops_the_benchmark(people, monkeypatch):
    by_engine = People.by_engine

    def with_another_rate(self, hyperparameters, **options):
        return by_engine(self, replace(hyperparameters, learning_rate=4e-4), **options)

    monkeypatch.setattr(People, "by_engine", with_another_rate)
    with pytest.raises(AssertionError, match="differ"):
        _assert_equal(people, epochs=2)


@pytest.mark.parametrize("leanest", [False, True])
def test_a_user_of_the_baseline_starts_anew_whoever_came_before(people, leanest):
    trainer = UserByUser(people, replace(PAPER, epochs=2, dropout=0.0), leanest=leanest)
    alone, _ = trainer.train(1)
    trainer.train(0)
    again, _ = trainer.train(1)
    assert all(torch.equal(alone[name], again[name]) for name in alone)
    assert any(not torch.equal(alone[name], trainer.train(2)[0][name]) for name in alone)


def test_a_figure_says_what_was_compared_and_where_there_is_no_gain(people, monkeypatch):
    monkeypatch.setattr(training, "side_by_side", lambda *_, **__: training.Timing(0.9, 9.0, 10.0))
    figure = _against_trainer("train", people, PAPER)
    assert figure.ratio == 0.9
    assert figure.median == pytest.approx(10 / 3)
    assert "3 users, 24 pairs, 50 epochs, 16 in a pass" in figure.detail
    assert figure.detail.endswith("peft + Trainer: 3.000 s: no gain")
