from benchmarks.cost_model import _flops, _in_turn, _median_ratio
from benchmarks.workloads import PairLength
from training_app.costs.shapes import PUBLISHED
from workers.engine.hyperparameters import Hyperparameters

SHAPE = PUBLISHED["google/flan-t5-small"]


def test_every_side_runs_once_unmeasured_and_then_in_turn():
    calls: list[str] = []
    seconds = _in_turn(lambda: calls.append("a"), lambda: calls.append("b"))
    assert calls[:6] == ["a", "b", "a", "b", "a", "b"]
    assert [len(taken) for taken in seconds] == [len(calls) // 2 - 1] * 2


def test_ratios_are_taken_round_by_round():
    assert _median_ratio([1, 20, 3], [1, 10, 1]) == 2


def test_operations_go_with_users_and_epochs():
    one = _flops(SHAPE, [[PairLength(10, 5)]], Hyperparameters(epochs=1))
    assert _flops(SHAPE, [[PairLength(10, 5)]] * 3, Hyperparameters(epochs=2)) == 6 * one
