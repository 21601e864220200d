"""Training: equal to peft + torch AdamW, reproducible to the byte, and nobody's business but the user's."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from tests.workers.engine import oracle
from tests.workers.engine.models import pairs_of, prompts, small_base, small_t5, words_tokenizer
from workers.engine.batches import tokenize_pairs
from workers.engine.generation import GenerationRow, generate
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.training import TrainedAdapter, TrainingDiverged, TrainingRequest, total_steps, train_adapter

PLAIN = Hyperparameters(rank=4, alpha=8, dropout=0.0, epochs=5, learning_rate=1e-2, batch_size=4)


def same_bytes(one: TrainedAdapter, other: TrainedAdapter) -> bool:
    return one.weights.keys() == other.weights.keys() and all(
        one.weights[name].numpy().tobytes() == other.weights[name].numpy().tobytes() for name in one.weights
    )


@pytest.mark.parametrize("count", [1, 6, 8])
def test_ten_steps_are_those_of_peft_and_torch_adamw(count):
    """A user of one pair, one with a last partial batch, one of whole batches."""
    hyperparameters = Hyperparameters(**{**PLAIN.as_dict(), "epochs": 10 if count == 1 else 5})
    base = small_base(dtype=torch.float64)
    pairs = pairs_of("alice", count=count)
    start = oracle.start_of(base, TrainingRequest(pairs, hyperparameters, seed=5))
    reference = oracle.peft_model(small_t5(dtype=torch.float64), hyperparameters, start)
    expected_losses = oracle.train(reference, pairs, hyperparameters, seed=5, steps=10)

    trained = train_adapter(base, pairs=pairs, hyperparameters=hyperparameters, seed=5)

    assert trained.steps == 10
    assert trained.loss_curve == pytest.approx(expected_losses, abs=1e-9)
    expected = {name: parameter.detach() for name, parameter in oracle.trainable(reference).items()}
    assert trained.weights.keys() == expected.keys()
    assert max(float((trained.weights[name] - expected[name]).abs().max()) for name in expected) < 1e-7


@pytest.fixture(scope="module")
def brief_alice(base, briefly):
    return train_adapter(base, pairs=pairs_of("alice", count=9), hyperparameters=briefly, seed=1)


def test_the_same_inputs_give_the_same_bytes_whatever_was_trained_before(base, briefly, brief_alice):
    train_adapter(base, pairs=pairs_of("dave", count=11), hyperparameters=briefly, seed=9)
    torch.rand(100)
    again = train_adapter(base, pairs=pairs_of("alice", count=9), hyperparameters=briefly, seed=1)
    assert same_bytes(brief_alice, again)
    assert brief_alice.loss_curve == again.loss_curve


def test_a_freshly_loaded_base_gives_the_same_bytes(briefly, brief_alice):
    again = train_adapter(small_base(), pairs=pairs_of("alice", count=9), hyperparameters=briefly, seed=1)
    assert same_bytes(brief_alice, again)


def test_another_seed_gives_another_adapter(base, briefly, brief_alice):
    other = train_adapter(base, pairs=pairs_of("alice", count=9), hyperparameters=briefly, seed=2)
    assert not same_bytes(brief_alice, other)


def test_training_draws_nothing_from_the_process_wide_generator(base, briefly):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    train_adapter(base, pairs=pairs_of("alice", count=3), hyperparameters=briefly, seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_the_base_model_stays_the_same_to_the_bit(base, briefly, alice, bob):
    before = small_t5().state_dict()
    generate(base, [GenerationRow("w1 w2", alice.as_weights()), GenerationRow("w1 w2")], max_output_tokens=4)
    after = base.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in base.model.parameters())
    assert not base.model.training


def test_users_trained_in_one_process_differ_from_the_base_and_from_each_other(base, alice, bob, carol):
    asked = prompts(3, count=6)
    answers = {
        name: tuple(
            (text.text, text.score)
            for text in generate(base, [GenerationRow(prompt, adapter) for prompt in asked], max_output_tokens=8)
        )
        for name, adapter in {
            "none": None,
            "alice": alice.as_weights(),
            "bob": bob.as_weights(),
            "carol": carol.as_weights(),
        }.items()
    }
    assert len(set(answers.values())) == 4


def test_loss_falls_on_what_is_learned(base):
    long = Hyperparameters(rank=8, alpha=32, epochs=30, learning_rate=2e-2, batch_size=4)
    trained = train_adapter(base, pairs=pairs_of("alice", count=4), hyperparameters=long, seed=1)
    assert trained.loss_curve[-1] < 0.5 * trained.loss_curve[0]


def test_progress_is_told_after_every_step(base, briefly):
    told = []
    trained = train_adapter(
        base,
        pairs=pairs_of("alice", count=6),
        hyperparameters=briefly,
        seed=1,
        on_step=lambda done, total, loss: told.append((done, total, loss)),
    )
    assert [step[0] for step in told] == list(range(1, 9))
    assert {step[1] for step in told} == {total_steps(6, briefly)}
    assert [step[2] for step in told] == trained.loss_curve


def test_a_cancelled_training_leaves_the_base_ready_for_the_next(base, briefly, brief_alice):
    class Cancelled(Exception):
        pass

    def cancel(done: int, total: int, loss: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        train_adapter(base, pairs=pairs_of("bob", count=6), hyperparameters=briefly, seed=2, on_step=cancel)
    again = train_adapter(base, pairs=pairs_of("alice", count=9), hyperparameters=briefly, seed=1)
    assert same_bytes(brief_alice, again)


def test_no_pairs_are_an_error(base, briefly):
    with pytest.raises(ValueError, match="at least one training pair"):
        train_adapter(base, pairs=[], hyperparameters=briefly, seed=1)


def test_empty_and_overlong_texts_are_trained_within_the_limits(base):
    tight = Hyperparameters(rank=2, epochs=1, max_input_tokens=4, max_output_tokens=3)
    trained = train_adapter(base, pairs=[("", ""), ("w1 " * 50, "w2 " * 50)], hyperparameters=tight, seed=1)
    assert all(math.isfinite(loss) for loss in trained.loss_curve)
    tokens = tokenize_pairs(base.tokenizer, [("w1 " * 50, "w2 " * 50)], max_input_tokens=4, max_output_tokens=3)
    assert (len(tokens[0].source), len(tokens[0].target)) == (4, 3)
    assert tokens[0].source[-1] == tokens[0].target[-1] == base.end_token


IN_A_FRESH_PROCESS = """
import hashlib, json, sys
from workers.engine.base_model import load_base_model
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.threads import limit_threads
from workers.engine.training import train_adapter
limit_threads(1)
pairs, hyperparameters = json.loads(sys.argv[1]), Hyperparameters.from_dict(json.loads(sys.argv[2]))
adapter = train_adapter(load_base_model("base"), pairs=pairs, hyperparameters=hyperparameters, seed=1)
print(adapter.as_weights().digest)
"""


def test_a_fresh_process_gives_the_same_bytes(tmp_path, briefly, brief_alice):
    small_t5().save_pretrained(tmp_path / "base")
    words_tokenizer().save_pretrained(tmp_path / "base")
    arguments = [json.dumps(pairs_of("alice", count=9)), json.dumps(briefly.as_dict())]
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == brief_alice.as_weights().digest


def test_a_base_in_bfloat16_trains_adapters_in_float32():
    base = small_base(dtype=torch.bfloat16)
    several = Hyperparameters(rank=8, epochs=20, learning_rate=2e-2, batch_size=4)
    trained = train_adapter(base, pairs=pairs_of("alice", count=4), hyperparameters=several, seed=1)
    assert {tensor.dtype for tensor in trained.weights.values()} == {torch.float32}
    assert trained.loss_curve[-1] < 0.7 * trained.loss_curve[0]
    rows = [GenerationRow("w1 w2", trained.as_weights()), GenerationRow("w1 w2")]
    assert len({answer.text for answer in generate(base, rows, max_output_tokens=6)}) == 2


def test_a_training_that_diverges_says_so_and_harms_nobody_else(base, briefly, brief_alice):
    wild = replace(briefly, learning_rate=1e30)
    with pytest.raises(TrainingDiverged, match="not finite at step"):
        train_adapter(base, pairs=pairs_of("bob", count=6), hyperparameters=wild, seed=2)
    again = train_adapter(base, pairs=pairs_of("alice", count=9), hyperparameters=briefly, seed=1)
    assert same_bytes(brief_alice, again)
