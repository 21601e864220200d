"""The formulas against torch's FlopCounterMode over what the engine runs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.workers.engine.models import small_base
from training_app.costs.flops import generation_flops, training_flops
from training_app.costs.lengths import sums_of
from training_app.costs.shapes import PUBLISHED, ModelShape, shape_from_config
from workers.engine.base_model import BaseModel
from workers.engine.generation import GenerationRow, generate
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.training import AdapterTrainer, TrainingRequest

XXL = PUBLISHED["google/flan-t5-xxl"]
RANK = 4


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return small_base()


@pytest.fixture(scope="module")
def shape(base) -> ModelShape:
    return shape_from_config(json.loads(base.model.config.to_json_string()))


def product(_, left, right, *rest, **named) -> int:
    """2·m·k·n of [m, k] × [k, n]."""
    return 2 * left[0] * left[1] * right[1]


def batched_product(_, left, right, *rest, **named) -> int:
    """As many of them as the batch is long."""
    return left[0] * product(None, left[1:], right[1:])


@contextmanager
def counting() -> Iterator[FlopCounterMode]:
    """Torch's counter, which knows neither the in-place products nor attention fused on a CPU."""
    in_place = {torch.ops.aten.addmm_: product, torch.ops.aten.baddbmm_: batched_product}
    counter = FlopCounterMode(display=False, custom_mapping=in_place)
    with sdpa_kernel(SDPBackend.MATH), counter:
        yield counter


def counted(base: BaseModel, lengths: tuple[int, int], *, users: int, recompute: bool = False) -> int:
    """Operations of one optimizer step of these users, each with two pairs of these lengths in tokens."""
    trainer = AdapterTrainer(base, slots=users, rank=RANK, gradient_checkpointing=recompute)
    # A token a word, and the end token.
    pair = (" ".join(["w1"] * (lengths[0] - 1)), " ".join(["w2"] * (lengths[1] - 1)))
    for user in range(users):
        trainer.start(TrainingRequest([pair] * 2, Hyperparameters(rank=RANK), seed=user))
    with counting() as counter:
        trainer.step()
    return counter.get_total_flops()


@pytest.mark.parametrize("users", [1, 3])
# Below 16 tokens attention pads on a CPU, which the formulas leave out.
@pytest.mark.parametrize("lengths", [(20, 16), (40, 17), (16, 30)], ids=str)
def test_training_costs_what_torch_counts(base, shape, lengths, users):
    predicted = training_flops(shape, rank=RANK, tokens=sums_of([lengths] * 2 * users))
    assert predicted.total == pytest.approx(counted(base, lengths, users=users), rel=0.01)


def test_so_does_training_with_checkpointing(base, shape):
    predicted = training_flops(shape, rank=RANK, tokens=sums_of([(20, 16)] * 4), gradient_checkpointing=True)
    assert predicted.total == pytest.approx(counted(base, (20, 16), users=2, recompute=True), rel=0.01)


def test_generating_costs_what_torch_counts(base, shape):
    # The random model hardly ever ends an answer by itself, so that it takes all the steps that it may.
    prompt = " ".join(["w1"] * 11)
    with counting() as counter:
        [answer] = generate(base, [GenerationRow(prompt)], num_beams=4, max_output_tokens=3)
    predicted = generation_flops(shape, source_tokens=12, output_tokens=answer.output_tokens, beams=4)
    assert answer.output_tokens == 3
    assert predicted == pytest.approx(counter.get_total_flops(), rel=0.03)


def test_an_xxl_token_costs_about_22_gflop():
    tokens = sums_of([(130, 3)])
    assert training_flops(XXL, rank=8, tokens=tokens).total / tokens.tokens == pytest.approx(22e9, rel=0.03)


def test_the_adapters_own_share_is_small_and_grows_with_the_rank():
    tokens = sums_of([(130, 3)])
    shares = [
        flops.lora / flops.total for flops in (training_flops(XXL, rank=rank, tokens=tokens) for rank in (8, 16, 64))
    ]
    assert shares[1] == pytest.approx(2 * shares[0], rel=0.01)
    assert shares[2] < 0.02


def test_gradient_checkpointing_adds_most_of_a_forward():
    tokens = sums_of([(130, 3), (20, 40)])
    plain = training_flops(XXL, rank=8, tokens=tokens)
    checkpointed = training_flops(XXL, rank=8, tokens=tokens, gradient_checkpointing=True)
    assert plain.recomputed == 0
    assert 0.7 * plain.forward < checkpointed.recomputed < plain.forward
    assert checkpointed.total - checkpointed.recomputed == plain.total


def test_operations_of_many_pairs_are_the_sum_over_the_pairs():
    pairs = [(130, 3), (20, 40), (1, 1)]
    together = training_flops(XXL, rank=8, tokens=sums_of(pairs)).total
    assert together == sum(training_flops(XXL, rank=8, tokens=sums_of([pair])).total for pair in pairs)


def test_every_beam_goes_through_the_decoder_and_the_prompt_once():
    one = generation_flops(XXL, source_tokens=200, output_tokens=10, beams=1)
    two = generation_flops(XXL, source_tokens=200, output_tokens=10, beams=2)
    four = generation_flops(XXL, source_tokens=200, output_tokens=10, beams=4)
    assert four - two == 2 * (two - one)
