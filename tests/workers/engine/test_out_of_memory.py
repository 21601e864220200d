"""Memory that runs out makes passes smaller, and changes nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from tests.workers.engine.models import pairs_of, small_base
from workers.engine.base_model import BaseModel
from workers.engine.batches import MAX_PASS_TOKENS
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.training import AdapterTrainer, TrainedAdapter, TrainingRequest, train_adapter

HYPERPARAMETERS = Hyperparameters(rank=4, alpha=16, dropout=0.3, epochs=2, learning_rate=2e-2, batch_size=8)
PEOPLE = {"alice": 9, "bob": 3, "carol": 6}


class Gpu:
    """Fails, as a GPU does, wherever a layer sees more than `room` tokens."""

    def __init__(self, *, room: int) -> None:
        self.room = room
        self.failures = 0

    def __call__(self, module, inputs, output) -> None:
        if inputs[0].shape[0] > self.room:
            self.failures += 1
            raise torch.OutOfMemoryError("CUDA out of memory.")


@contextmanager
def limited(base: BaseModel, layer: torch.nn.Module, *, room: int) -> Iterator[Gpu]:
    gpu = Gpu(room=room)
    hook = layer.register_forward_hook(gpu)
    try:
        yield gpu
    finally:
        hook.remove()


def train(base: BaseModel, *, gradient_checkpointing: bool = False) -> tuple[AdapterTrainer, list[TrainedAdapter]]:
    trainer = AdapterTrainer(base, slots=3, rank=4, gradient_checkpointing=gradient_checkpointing)
    learners = [
        trainer.start(TrainingRequest(pairs_of(name, count=count), HYPERPARAMETERS, seed))
        for seed, (name, count) in enumerate(PEOPLE.items())
    ]
    while any(learner.running for learner in learners):
        trainer.step()
    return trainer, [trainer.finish(learner) for learner in learners]


@pytest.fixture(scope="module")
def undisturbed(base):
    return train(base)[1]


def difference(one: TrainedAdapter, other: TrainedAdapter) -> float:
    return max(float((one.weights[name] - other.weights[name]).abs().max()) for name in one.weights)


@pytest.mark.parametrize("gradient_checkpointing", [False, True])
@pytest.mark.parametrize(
    "at",
    [
        lambda model: model.encoder.block[0].layer[-1].DenseReluDense.act,
        lambda model: model.decoder.block[-1].layer[-1].DenseReluDense.act,  # when most of the pass is done
    ],
)
def test_passes_are_halved_until_they_fit_and_the_adapters_are_the_same(base, undisturbed, at, gradient_checkpointing):
    with limited(base, at(base.model), room=60) as gpu:
        trainer, found = train(base, gradient_checkpointing=gradient_checkpointing)
    assert gpu.failures
    assert trainer.pass_tokens in {MAX_PASS_TOKENS >> halvings for halvings in range(1, 12)}
    assert max(difference(*pair) for pair in zip(found, undisturbed, strict=True)) < 1e-5


class TooMuch(torch.autograd.Function):
    """A layer whose way back does not fit."""

    @staticmethod
    def forward(ctx, hidden, gpu):
        ctx.gpu, ctx.tokens = gpu, hidden.shape[0]
        return hidden.view_as(hidden)

    @staticmethod
    def backward(ctx, gradient):
        if ctx.tokens > ctx.gpu.room:
            ctx.gpu.failures += 1
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return gradient, None


def test_so_they_are_where_the_way_back_does_not_fit(base, undisturbed):
    """Some projections have their gradients already, which must not count twice."""
    gpu = Gpu(room=60)
    layer = base.model.encoder.block[0].layer[-1].DenseReluDense.act
    hook = layer.register_forward_hook(lambda module, inputs, output: TooMuch.apply(output, gpu))
    try:
        trainer, found = train(base)
    finally:
        hook.remove()
    assert gpu.failures
    assert trainer.pass_tokens < MAX_PASS_TOKENS
    assert max(difference(*pair) for pair in zip(found, undisturbed, strict=True)) < 1e-5


def test_a_row_that_does_not_fit_alone_ends_its_own_training_only(base, undisturbed):
    """Of the three, only bob has a pair of more than 30 tokens."""
    people = {name: pairs_of(name, count=count) for name, count in PEOPLE.items()}
    people["bob"] = [(" ".join(["w1"] * 40), "w2"), *people["bob"]]
    with limited(base, base.model.encoder.block[0].layer[-1].DenseReluDense.act, room=30):
        trainer = AdapterTrainer(base, slots=3, rank=4)
        learners = {
            name: trainer.start(TrainingRequest(pairs, HYPERPARAMETERS, seed))
            for seed, (name, pairs) in enumerate(people.items())
        }
        while trainer.learners and any(learner.running for learner in learners.values()):
            trainer.step()
    with pytest.raises(torch.OutOfMemoryError):
        trainer.finish(learners["bob"])
    assert trainer.free == 1
    for place, name in ((0, "alice"), (2, "carol")):
        assert difference(trainer.finish(learners[name]), undisturbed[place]) < 1e-5


def test_exact_mode_ends_rather_than_sum_in_another_order(base):
    request = TrainingRequest(pairs_of("alice", count=9), HYPERPARAMETERS, 0)
    arguments = {"pairs": request.pairs, "hyperparameters": request.hyperparameters, "seed": request.seed}
    with (
        limited(base, base.model.encoder.block[0].layer[-1].DenseReluDense.act, room=60),
        pytest.raises(torch.OutOfMemoryError),
    ):
        train_adapter(base, **arguments)
    train_adapter(base, **arguments)  # the base is ready for the next


def test_slots_are_halved_where_they_do_not_fit(monkeypatch):
    base = small_base()
    zeros = torch.zeros

    def limited_zeros(*shape, **settings):
        if len(shape) == 2 and shape[0] > 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return zeros(*shape, **settings)

    monkeypatch.setattr(torch, "zeros", limited_zeros)
    trainer = AdapterTrainer(base, slots=16, rank=4)
    assert (trainer.slots, trainer.free) == (4, 4)
