"""Many users in one pass: each gets what peft and torch AdamW give alone, whoever shares the pass."""

import random
from dataclasses import replace

import pytest
import torch

from tests.workers.engine import oracle
from tests.workers.engine.models import pairs_of, small_base, small_t5
from workers.engine.base_model import BaseModel
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.training import (
    AdapterTrainer,
    Learner,
    TrainedAdapter,
    TrainingDiverged,
    TrainingRequest,
    _rows,
    train_adapter,
    train_adapters,
)

PLAIN = Hyperparameters(rank=4, alpha=8, dropout=0.0, epochs=5, learning_rate=1e-2, batch_size=4)
# Profiles of 1 to 9 documents: below a batch, whole batches, and with a last one that is smaller. Ranks 2 to 8.
PEOPLE = {"alice": (1, 4), "bob": (4, 8), "carol": (7, 2), "dave": (9, 4), "erin": (6, 8)}


def request_of(person: str, hyperparameters: Hyperparameters = PLAIN, *, steps: int | None = None) -> TrainingRequest:
    """The person's request; with `steps`, of so many epochs that there are at least as many optimizer steps."""
    count, rank = PEOPLE[person]
    hyperparameters = replace(hyperparameters, rank=rank)
    if steps is not None:
        hyperparameters = replace(hyperparameters, epochs=-(-steps // -(-count // hyperparameters.batch_size)))
    return TrainingRequest(pairs_of(person, count=count), hyperparameters, seed=len(person) + count)


def start_all(
    base: BaseModel, requests: list[TrainingRequest], *, rank: int = 8
) -> tuple[AdapterTrainer, list[Learner]]:
    trainer = AdapterTrainer(base, slots=len(requests), rank=rank)
    return trainer, [trainer.start(request) for request in requests]


def difference(one: TrainedAdapter, other: TrainedAdapter) -> float:
    assert one.weights.keys() == other.weights.keys()
    return max(float((one.weights[name] - other.weights[name]).abs().max()) for name in one.weights)


def same_bytes(one: TrainedAdapter, other: TrainedAdapter) -> bool:
    return all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def alone(base: BaseModel, request: TrainingRequest) -> TrainedAdapter:
    return train_adapter(base, pairs=request.pairs, hyperparameters=request.hyperparameters, seed=request.seed)


class TestAgainstPeft:
    """float64, no dropout, one user at a time over there."""

    def test_the_first_gradients_of_everyone_are_those_of_peft(self):
        base = small_base(dtype=torch.float64)
        trainer, learners = start_all(base, [request_of(person) for person in PEOPLE])
        with torch.no_grad():  # with B at zero, A would have no gradient to compare
            for b in trainer._stack.b:
                b.copy_(torch.linspace(-0.1, 0.1, b.numel(), dtype=b.dtype).view_as(b))
            for learner in learners:  # what pads a smaller rank stays zero
                for b in trainer._stack.b:
                    b[learner.slot, :, learner.request.hyperparameters.rank :] = 0
        starts = [trainer._stack.read(learner.slot) for learner in learners]
        rows = [row for learner in learners for row in _rows(learner)]
        losses = trainer._accumulate(learners, rows)
        gradients = [bank.gradients for bank in trainer._stack.banks]
        for learner, start, loss in zip(learners, starts, losses, strict=True):
            request = learner.request
            reference = oracle.peft_model(small_t5(dtype=torch.float64), request.hyperparameters, start)
            expected_loss = oracle.mean_loss(reference, oracle.first_batch(request))
            expected_loss.backward()
            assert loss == pytest.approx(expected_loss.item(), abs=1e-12)
            found = trainer._stack.read(learner.slot, gradients)
            expected = oracle.trainable(reference)
            assert found.keys() == expected.keys()
            assert max(float((found[name] - expected[name].grad).abs().max()) for name in found) < 1e-10
            assert any(float(gradient.abs().max()) > 1e-4 for gradient in found.values())

    @pytest.mark.parametrize("slots", [2, 5])
    def test_ten_steps_and_more_are_those_of_peft_and_torch_adamw(self, slots):
        """With two slots, three of the five start in a slot that another has left."""
        base = small_base(dtype=torch.float64)
        requests = [request_of(person, steps=10) for person in PEOPLE]
        trained = train_adapters(base, requests, slots=slots)
        for request, adapter in zip(requests, trained, strict=True):
            start = oracle.start_of(base, request)
            reference = oracle.peft_model(small_t5(dtype=torch.float64), request.hyperparameters, start)
            losses = oracle.train(
                reference, request.pairs, request.hyperparameters, seed=request.seed, steps=adapter.steps
            )
            assert adapter.steps >= 10
            assert adapter.loss_curve == pytest.approx(losses, abs=1e-9)
            expected = {name: parameter.detach() for name, parameter in oracle.trainable(reference).items()}
            assert adapter.weights.keys() == expected.keys()
            assert max(float((adapter.weights[name] - expected[name]).abs().max()) for name in expected) < 1e-7


@pytest.mark.parametrize("slots", [2, 5])
def test_with_dropout_an_adapter_is_the_same_alone_and_among_others(base, slots):
    """float32, the paper's learning rate, and dropout of everyone's own."""
    settings = Hyperparameters(alpha=32, epochs=12, batch_size=4)
    requests = [
        request_of(person, replace(settings, dropout=share))
        for person, share in zip(PEOPLE, (0.1, 0.0, 0.3, 0.1, 0.5), strict=True)
    ]
    for request, shared in zip(requests, train_adapters(base, requests, slots=slots), strict=True):
        exact = alone(base, request)
        assert difference(shared, exact) < 1e-5
        assert shared.loss_curve == pytest.approx(exact.loss_curve, abs=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_in_float64_random_requests_with_dropout_agree_to_the_ninth_digit(seed):
    base, draw = small_base(dtype=torch.float64), random.Random(seed)
    requests = [
        TrainingRequest(
            pairs_of(f"person {seed} {number}", count=draw.randint(1, 9)),
            Hyperparameters(
                rank=draw.choice((1, 3, 8)),
                alpha=draw.choice((4, 32)),
                dropout=draw.choice((0.0, 0.1, 0.5)),
                epochs=draw.randint(1, 5),
                batch_size=draw.choice((1, 3, 16)),
                max_input_tokens=draw.choice((5, 512)),
            ),
            seed=number,
        )
        for number in range(5)
    ]
    for request, shared in zip(requests, train_adapters(base, requests, slots=draw.randint(2, 5)), strict=True):
        assert difference(shared, alone(base, request)) < 1e-9


def test_a_learner_begins_without_what_an_interrupted_step_has_left(base, briefly, monkeypatch):
    """A step that broke off after some gradients were added; the slot's next user must not learn from them."""
    trainer, (alice,) = start_all(base, [request_of("dave", briefly)])
    monkeypatch.setattr(trainer._optimizer, "step", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.step()
    monkeypatch.undo()
    trainer.drop(alice)
    bob = trainer.start(request_of("bob", briefly))
    while bob.running:
        trainer.step()
    assert difference(trainer.finish(bob), alone(base, bob.request)) < 1e-4


def test_other_neighbours_change_nothing_but_last_digits(base, briefly):
    mine = request_of("carol", briefly)
    with_alice, _ = train_adapters(base, [mine, request_of("alice", briefly)])
    with_all = train_adapters(base, [*(request_of(person, briefly) for person in PEOPLE if person != "carol"), mine])[
        -1
    ]
    assert difference(with_alice, with_all) < 1e-4
    assert (
        difference(
            with_alice,
            train_adapter(
                base, pairs=pairs_of("mallory", count=7), hyperparameters=mine.hyperparameters, seed=mine.seed
            ),
        )
        > 1e-2
    )


def test_whoever_ends_early_makes_room_for_the_next(base, briefly):
    trainer = AdapterTrainer(base, slots=2, rank=8)
    short = trainer.start(request_of("alice", replace(briefly, epochs=2)))
    long = trainer.start(request_of("dave", briefly))
    assert trainer.free == 0
    while not short.finished:
        trainer.step()
    first = trainer.finish(short)
    assert (trainer.free, trainer.learners, long.finished) == (1, (long,), False)
    late = trainer.start(request_of("bob", briefly))
    while trainer.learners and not (long.finished and late.finished):
        trainer.step()
    assert difference(trainer.finish(long), alone(base, long.request)) < 1e-4
    assert difference(trainer.finish(late), alone(base, late.request)) < 1e-4
    assert first.steps == 2


def test_one_that_diverges_harms_nobody_else_and_leaves_a_clean_slot(base, briefly):
    trainer, (wild, calm) = start_all(
        base, [request_of("bob", replace(briefly, learning_rate=1e30)), request_of("carol", briefly)]
    )
    while calm.running:
        trainer.step()
    assert wild.diverged
    assert not wild.finished
    with pytest.raises(TrainingDiverged, match="not finite at step"):
        trainer.finish(wild)
    next_one = trainer.start(request_of("erin", briefly))
    while next_one.running:
        trainer.step()
    assert difference(trainer.finish(calm), alone(base, calm.request)) < 1e-4
    assert difference(trainer.finish(next_one), alone(base, next_one.request)) < 1e-4


def test_a_dropped_learner_leaves_no_gradient_and_no_moment(base, briefly):
    trainer, (gone, stays) = start_all(base, [request_of("dave", briefly), request_of("carol", briefly)])
    trainer.step()
    trainer.step()
    trainer.drop(gone)
    again = trainer.start(request_of("bob", briefly))
    while stays.running or again.running:
        trainer.step()
    assert difference(trainer.finish(again), alone(base, again.request)) < 1e-4


def test_seconds_are_shared_out_by_tokens(base, briefly):
    trainer, (small, large) = start_all(base, [request_of("alice", briefly), request_of("dave", briefly)])
    trainer.step()
    assert 0 < small.seconds < large.seconds


class TestExactModeGoesOn:
    """An interruption at any step, and going on from a checkpoint, changes no byte."""

    @pytest.fixture
    def wanted(self, briefly):
        return request_of("dave", briefly)

    @pytest.fixture
    def undisturbed(self, base, wanted):
        return alone(base, wanted)

    @pytest.mark.parametrize("seed", range(4))
    def test_from_random_points(self, base, wanted, undisturbed, seed):
        draw = random.Random(seed)
        checkpoint = None
        for _ in range(3):
            trainer = AdapterTrainer(base, slots=1, rank=wanted.hyperparameters.rank)
            learner = trainer.start(wanted, checkpoint=checkpoint)
            for _ in range(draw.randint(0, 4)):
                trainer.step()
            checkpoint = trainer.checkpoint(learner)
            # What was done after the checkpoint is lost.
            trainer.step()
        trained = train_adapter(
            base,
            pairs=wanted.pairs,
            hyperparameters=wanted.hyperparameters,
            seed=wanted.seed,
            checkpoint=checkpoint,
        )
        assert same_bytes(trained, undisturbed)
        assert trained.loss_curve == undisturbed.loss_curve

    def test_a_finished_training_goes_on_to_its_end_at_once(self, base, wanted, undisturbed):
        trainer = AdapterTrainer(base, slots=1, rank=wanted.hyperparameters.rank)
        learner = trainer.start(wanted)
        while learner.running:
            trainer.step()
        again = AdapterTrainer(base, slots=1, rank=wanted.hyperparameters.rank)
        assert same_bytes(again.finish(again.start(wanted, checkpoint=trainer.checkpoint(learner))), undisturbed)

    def test_shared_mode_goes_on_in_another_stack(self, base, wanted, undisturbed):
        trainer, (learner, _) = start_all(base, [wanted, request_of("bob", wanted.hyperparameters)])
        trainer.step()
        trainer.step()
        other = AdapterTrainer(base, slots=3, rank=16)
        going_on = other.start(wanted, checkpoint=trainer.checkpoint(learner))
        while going_on.running:
            other.step()
        assert difference(other.finish(going_on), undisturbed) < 1e-4


class TestRefused:
    def test_no_pairs(self, base, briefly):
        with pytest.raises(ValueError, match="at least one training pair"):
            AdapterTrainer(base, slots=1, rank=4).start(TrainingRequest([], briefly, 1))

    def test_no_free_slot(self, base, briefly):
        trainer, _ = start_all(base, [request_of("alice", briefly)])
        with pytest.raises(ValueError, match="every slot is taken"):
            trainer.start(request_of("bob", briefly))

    def test_a_rank_above_the_slots(self, base, briefly):
        trainer = AdapterTrainer(base, slots=1, rank=4)
        with pytest.raises(ValueError, match="rank 8 does not fit"):
            trainer.start(request_of("bob", briefly))
        assert trainer.free == 1

    def test_a_checkpoint_that_is_further_than_the_training(self, base, briefly):
        trainer, (learner,) = start_all(base, [request_of("alice", briefly)])
        for _ in range(3):
            trainer.step()
        shorter = request_of("alice", replace(briefly, epochs=2))
        with pytest.raises(ValueError, match="further than the training goes"):
            AdapterTrainer(base, slots=1, rank=4).start(shorter, checkpoint=trainer.checkpoint(learner))

    def test_a_learner_of_another_trainer(self, base, briefly):
        _, (learner,) = start_all(base, [request_of("alice", briefly)])
        with pytest.raises(ValueError, match="no slot here"):
            AdapterTrainer(base, slots=1, rank=8).drop(learner)


def test_nobody_to_train_is_nothing_to_do(base):
    assert train_adapters(base, []) == []
