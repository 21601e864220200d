"""Per-slot AdamW, schedule, and the output layer's loss."""

import pytest
import torch
from torch.nn import functional
from transformers import get_linear_schedule_with_warmup

from tests.workers.engine.models import small_base
from workers.engine import token_loss
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.lora import LoraSlots
from workers.engine.optimizer import SlotAdamW, linear_schedule
from workers.engine.token_loss import token_losses


@pytest.mark.parametrize("total", [1, 2, 19, 20, 21, 100])
def test_the_schedule_is_that_of_transformers(total):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = get_linear_schedule_with_warmup(optimizer, -(-total // 20), total)
    for step in range(total):
        assert linear_schedule(step, total=total, warmup_ratio=0.05) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_without_a_warm_up_the_first_step_is_the_largest():
    assert linear_schedule(0, total=10, warmup_ratio=0.0) == 1.0


@pytest.mark.parametrize("size", [0.001, 100.0])
def test_a_slot_s_updates_are_those_of_torch_adamw_with_clipping(size):
    hyperparameters = Hyperparameters(rank=2, weight_decay=0.1)
    slots = LoraSlots(small_base().projections, slots=3, rank=2, trainable=True, dtype=torch.float64)
    slots.reset(1, seed=1, rank=2, alpha=4)
    mine = [matrix[1] for matrix in (*slots.a, *slots.b)]
    theirs = [matrix.detach().clone().requires_grad_() for matrix in mine]
    reference = torch.optim.AdamW(theirs, lr=0.01, weight_decay=0.1)
    optimizer = SlotAdamW(slots)
    source = torch.Generator().manual_seed(0)
    for _ in range(5):
        for matrix, parameter in zip((*slots.a, *slots.b), theirs, strict=True):
            gradient = torch.randn(parameter.shape, generator=source, dtype=torch.float64) * size
            matrix.grad[1].copy_(gradient)
            parameter.grad = gradient.clone()
        torch.nn.utils.clip_grad_norm_(theirs, 1.0)
        reference.step()
        optimizer.step(1, learning_rate=0.01, hyperparameters=hyperparameters)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(mine, theirs, strict=True))
    assert optimizer.steps == [0, 5, 0]
    assert not any(matrix[0].any() or matrix[2].any() for matrix in (*slots.a, *slots.b))
    assert not any(matrix.grad.any() for matrix in (*slots.a, *slots.b))


def test_a_slot_started_again_has_no_past():
    slots = LoraSlots(small_base().projections, slots=1, rank=2, trainable=True)
    optimizer = SlotAdamW(slots)

    def one_step() -> torch.Tensor:
        slots.reset(0, seed=1, rank=2, alpha=4)
        optimizer.reset(0)
        for matrix in (*slots.a, *slots.b):
            matrix.grad.fill_(0.01)
        optimizer.step(0, learning_rate=0.01, hyperparameters=Hyperparameters(rank=2))
        return slots.banks[0].values.clone()

    assert torch.equal(one_step(), one_step())


@pytest.mark.parametrize("chunk", [1, 1 << 24])
def test_the_loss_and_its_gradient_are_those_of_cross_entropy(monkeypatch, chunk):
    monkeypatch.setattr(token_loss, "_CHUNK_VALUES", chunk)
    source = torch.Generator().manual_seed(0)
    hidden = torch.randn(7, 5, generator=source, dtype=torch.float64, requires_grad=True)
    layer = torch.randn(11, 5, generator=source, dtype=torch.float64)
    targets = torch.tensor([0, 10, 3, 3, 5, 9, 1])
    shares = torch.rand(7, generator=source, dtype=torch.float64)
    expected = functional.cross_entropy(hidden @ layer.T, targets, reduction="none")
    (by_torch,) = torch.autograd.grad((expected * shares).sum() / 3, hidden)
    total, losses = token_losses(hidden, output_layer=layer, targets=targets, shares=shares)
    (ours,) = torch.autograd.grad(total / 3, hidden)
    assert torch.allclose(losses, expected, atol=1e-12)
    assert torch.allclose(total, (expected * shares).sum(), atol=1e-12)
    assert torch.allclose(ours, by_torch, atol=1e-12)


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"rank": 257}, {"epochs": 0}, {"dropout": 1.0}, {"alpha": 0}])
def test_impossible_hyperparameters_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Hyperparameters(**wrong)


def test_hyperparameters_survive_a_round_trip_and_default_to_the_paper_s():
    defaults = Hyperparameters()
    assert Hyperparameters.from_dict(defaults.as_dict()) == defaults
    assert (defaults.rank, defaults.alpha, defaults.epochs, defaults.batch_size) == (8, 32.0, 50, 16)
    with pytest.raises(ValueError, match="unknown hyperparameters: momentum"):
        Hyperparameters.from_dict({"momentum": 0.9})
