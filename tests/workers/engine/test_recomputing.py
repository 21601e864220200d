"""Gradient checkpointing: the same gradients out of less memory."""

import pytest
import torch
from torch import Tensor

from tests.workers.engine.families import FAMILIES, family_model
from tests.workers.engine.models import pairs_of, small_base, words_tokenizer
from workers.engine.base_model import BaseModel, wrap
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.optimizer import SlotAdamW
from workers.engine.training import AdapterTrainer, TrainedAdapter, TrainingRequest

HYPERPARAMETERS = Hyperparameters(rank=4, alpha=16, dropout=0.3, epochs=2, learning_rate=2e-2, batch_size=4)


def started(base: BaseModel, *, gradient_checkpointing: bool) -> AdapterTrainer:
    """Two users of different sizes, before their first step."""
    trainer = AdapterTrainer(base, slots=2, rank=4, gradient_checkpointing=gradient_checkpointing)
    for seed, (name, count) in enumerate({"alice": 6, "bob": 3}.items()):
        trainer.start(TrainingRequest(pairs_of(name, count=count), HYPERPARAMETERS, seed))
    return trainer


def train(base: BaseModel, *, gradient_checkpointing: bool) -> list[TrainedAdapter]:
    trainer = started(base, gradient_checkpointing=gradient_checkpointing)
    while any(not learner.finished for learner in trainer.learners):
        trainer.step()
    return [trainer.finish(learner) for learner in trainer.learners]


def bytes_kept_at_once(base: BaseModel, *, gradient_checkpointing: bool) -> int:
    """The most that autograd holds for the way back at a time in the first step, weights not counted."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in base.model.parameters()}
    held: dict[int, tuple[int, int]] = {}  # by storage: how often it is held, and its bytes
    peak = 0

    class Held:
        def __init__(self, tensor: Tensor) -> None:
            nonlocal peak
            storage = tensor.untyped_storage()
            self.tensor, self.key = tensor, storage.data_ptr()
            times, _ = held.get(self.key, (0, 0))
            held[self.key] = (times + 1, 0 if self.key in weights else storage.nbytes())
            peak = max(peak, sum(size for _, size in held.values()))

        def __del__(self) -> None:
            times, size = held.pop(self.key)
            if times > 1:
                held[self.key] = (times - 1, size)

    trainer = started(base, gradient_checkpointing=gradient_checkpointing)
    with torch.autograd.graph.saved_tensors_hooks(Held, lambda one: one.tensor):
        trainer.step()
    assert not held
    return peak


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_are_the_same(family):
    base = wrap(family_model(family), words_tokenizer(), name=family, revision="0")
    for expected, found in zip(
        train(base, gradient_checkpointing=False), train(base, gradient_checkpointing=True), strict=True
    ):
        assert max(float((expected.weights[name] - found.weights[name]).abs().max()) for name in found.weights) < 1e-6


def test_gradients_are_the_same(base, monkeypatch):
    gradients: list[Tensor] = []
    step = SlotAdamW.step

    def note(self, slot, **settings):
        gradients.append(self._banks[0].gradients[slot].clone())
        step(self, slot, **settings)

    monkeypatch.setattr(SlotAdamW, "step", note)
    train(base, gradient_checkpointing=False)
    expected, gradients[:] = list(gradients), []
    train(base, gradient_checkpointing=True)
    assert len(expected) == len(gradients) > 4
    assert max(float((a - b).abs().max()) for a, b in zip(expected, gradients, strict=True)) < 1e-6
    assert all(float(gradient.abs().max()) > 1e-3 for gradient in expected)


def test_less_is_kept():
    base = wrap(family_model("flan-t5", layers=6), words_tokenizer(), name="deep", revision="0")
    everything = bytes_kept_at_once(base, gradient_checkpointing=False)
    assert bytes_kept_at_once(base, gradient_checkpointing=True) < 0.4 * everything


def test_nothing_is_drawn_at_random():
    base = small_base()
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    train(base, gradient_checkpointing=True)
    assert torch.equal(torch.rand(3), expected)
