"""Checkpoints as bytes: what is written is what is read, and nothing else is."""

import json
from dataclasses import replace

import pytest
import torch

from tests.workers.engine.models import pairs_of, small_base
from workers.engine.checkpoints import Checkpoint, CheckpointRefused, checkpoint_bytes, read_checkpoint
from workers.engine.training import AdapterTrainer, TrainingRequest


@pytest.fixture(scope="module")
def checkpoint(base, briefly) -> Checkpoint:
    trainer = AdapterTrainer(base, slots=2, rank=8)
    learner = trainer.start(TrainingRequest(pairs_of("alice", count=6), briefly, seed=1))
    for _ in range(3):
        trainer.step()
    return trainer.checkpoint(learner)


@pytest.fixture
def written(checkpoint) -> bytes:
    return checkpoint_bytes(checkpoint, identity="alice-1")


@pytest.fixture
def read(base, briefly):
    def read(data: bytes, **changed):
        return read_checkpoint(data, **{"identity": "alice-1", "base": base, "hyperparameters": briefly, **changed})

    return read


def test_every_bit_survives(checkpoint, written, read):
    found = read(written)
    for part in ("weights", "first_moments", "second_moments"):
        before, after = getattr(checkpoint, part), getattr(found, part)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert (found.done, found.loss_curve, found.seconds) == (3, checkpoint.loss_curve, checkpoint.seconds)


def test_the_moments_are_really_there(checkpoint):
    assert any(tensor.any() for tensor in checkpoint.first_moments.values())
    assert any(tensor.any() for tensor in checkpoint.second_moments.values())


def test_the_same_checkpoint_is_the_same_bytes(checkpoint, written):
    assert checkpoint_bytes(checkpoint, identity="alice-1") == written


def test_another_training_s_is_refused(written, read):
    with pytest.raises(CheckpointRefused, match="another training"):
        read(written, identity="bob-1")


def test_one_of_another_rank_or_model_is_refused(written, read, briefly):
    with pytest.raises(CheckpointRefused, match="another shape"):
        read(written, hyperparameters=replace(briefly, rank=8))
    larger = small_base()
    with pytest.raises(CheckpointRefused, match="not those of this base model"):
        read(checkpoint_bytes(Checkpoint({}, {}, {}, 0, [], 0.0), identity="alice-1"), base=larger)


@pytest.mark.parametrize("keep", [0, 4, 100, 2000, -1])
def test_a_file_that_was_cut_off_is_refused(written, read, keep):
    with pytest.raises(CheckpointRefused):
        read(written[:keep])


@pytest.mark.parametrize(
    "data",
    [
        b"not safetensors at all",
        (1 << 62).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
    ],
)
def test_what_is_no_checkpoint_is_refused(read, data):
    with pytest.raises(CheckpointRefused):
        read(data)


def test_values_that_are_not_finite_are_refused(checkpoint, read):
    name = next(iter(checkpoint.weights))
    spoilt = {**checkpoint.weights, name: torch.full_like(checkpoint.weights[name], float("nan"))}
    with pytest.raises(CheckpointRefused, match="not finite"):
        read(checkpoint_bytes(replace(checkpoint, weights=spoilt), identity="alice-1"))


def test_losses_that_do_not_fit_the_steps_are_refused(checkpoint, read):
    with pytest.raises(CheckpointRefused, match="do not fit together"):
        read(checkpoint_bytes(replace(checkpoint, done=2), identity="alice-1"))


def test_nothing_of_a_user_s_text_is_in_it(written):
    length = int.from_bytes(written[:8], "little")
    state = json.loads(json.loads(written[8 : 8 + length])["__metadata__"]["training"])
    assert set(state) == {"form", "identity", "done", "loss_curve", "seconds"}
