"""Stacked slots beside the frozen projections."""

import pytest
import torch

from tests.workers.engine import oracle
from tests.workers.engine.models import small_base, small_t5, words_tokenizer
from workers.engine.adapters import adapter_weights
from workers.engine.base_model import wrap
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.lora import LoraSlots


def logits(model, rows: int = 3) -> torch.Tensor:
    source = torch.arange(3, 3 + rows * 5).view(rows, 5)
    target = torch.arange(20, 20 + rows * 4).view(rows, 4)
    with torch.no_grad():
        return model(input_ids=source, decoder_input_ids=target).logits


def test_every_projection_of_every_attention_carries_lora(base):
    names = [projection.name for projection in base.projections.projections]
    assert len(names) == 2 * 3 + 2 * 6
    assert "encoder.block.0.layer.0.SelfAttention.q" in names
    assert "decoder.block.1.layer.1.EncDecAttention.v" in names


def test_names_and_shapes_are_those_that_peft_saves(base, alice):
    reference = oracle.peft_model(small_t5(), Hyperparameters(rank=4), alice.weights)
    shapes = {name: tuple(parameter.shape) for name, parameter in oracle.trainable(reference).items()}
    assert base.projections.shapes(4) == shapes
    assert base.projections.parameters_per_rank() * 4 == sum(a * b for a, b in shapes.values())


def test_a_base_with_hooks_answers_as_without_to_the_bit():
    plain = logits(small_t5())
    base = wrap(small_t5(), words_tokenizer(), name="n", revision="r", fused=False)
    assert torch.equal(logits(base.model), plain)
    base.projections.detach()
    assert torch.equal(logits(base.model), plain)


def test_wrapping_does_not_touch_the_module_tree():
    plain = small_t5()
    names = [name for name, _ in plain.named_modules()]
    wrap(plain, words_tokenizer(), name="n", revision="r")
    assert [name for name, _ in plain.named_modules()] == names


def test_a_new_adapter_starts_as_the_base(base):
    plain = logits(base.model)
    slots = LoraSlots(base.projections, slots=1, rank=4)
    slots.reset(0, seed=1, rank=4, alpha=32)
    with slots.rows([0, 0, 0]):
        assert torch.equal(logits(base.model), plain)


def test_initialisation_is_uniform_within_peft_s_bounds_and_depends_on_the_seed_alone(base):
    narrow = LoraSlots(base.projections, slots=1, rank=4)
    wide = LoraSlots(base.projections, slots=3, rank=16)
    narrow.reset(0, seed=7, rank=4, alpha=32)
    wide.reset(1, seed=8, rank=16, alpha=32)
    wide.reset(1, seed=7, rank=4, alpha=32)
    one, other = narrow.read(0), wide.read(1)
    assert all(torch.equal(one[name], other[name]) for name in one)
    drawn = torch.cat([one[name].flatten() for name in one if "lora_A" in name])
    bound = 32**-0.5
    assert float(drawn.abs().max()) <= bound
    assert float(drawn.std()) == pytest.approx(bound / 3**0.5, rel=0.05)
    assert not any(one[name].any() for name in one if "lora_B" in name)


def test_rows_of_many_users_equal_each_alone(base, alice, bob, carol):
    people = [person.as_weights() for person in (alice, bob, carol)]
    slots = LoraSlots(base.projections, slots=3, rank=8)
    for slot, person in enumerate(people):
        slots.load(slot, person)
    with slots.rows([2, None, 0]):
        mixed = logits(base.model)
    for row, slot in ((0, 2), (2, 0)):
        with slots.rows([slot] * 3):
            alone = logits(base.model)
        assert torch.allclose(mixed[row], alone[row], atol=1e-5)
        assert not torch.allclose(mixed[row], logits(base.model)[row], atol=1e-2)
    assert torch.allclose(mixed[1], logits(base.model)[1], atol=1e-5)


def test_one_adapter_equals_peft(alice):
    double = small_base(dtype=torch.float64)
    weights = {name: tensor.double() for name, tensor in alice.weights.items()}
    reference = oracle.peft_model(small_t5(dtype=torch.float64), alice.hyperparameters, weights)
    slots = LoraSlots(double.projections, slots=1, rank=4, dtype=torch.float64)
    slots.load(0, alice.as_weights())
    with slots.rows([0, 0, 0]):
        assert torch.allclose(logits(double.model), logits(reference), atol=1e-10)


def test_a_slot_used_again_holds_nothing_of_the_one_before(base, alice, carol):
    slots = LoraSlots(base.projections, slots=1, rank=8)
    slots.load(0, carol.as_weights())
    slots.load(0, alice.as_weights())
    found = slots.read(0)
    assert all(torch.equal(found[name], alice.weights[name]) for name in found)
    assert all(not a[0, 4:].any() and not b[0, :, 4:].any() for a, b in zip(slots.a, slots.b, strict=True))


def test_an_adapter_of_higher_rank_than_the_slots_is_refused(base, carol):
    with pytest.raises(ValueError, match="rank 8 does not fit"):
        LoraSlots(base.projections, slots=1, rank=4).load(0, carol.as_weights())


def test_two_passes_at_once_are_refused_and_an_error_ends_a_pass(base, alice):
    slots = LoraSlots(base.projections, slots=1, rank=4)
    slots.load(0, alice.as_weights())
    with slots.rows([0]), pytest.raises(RuntimeError, match="already active"), slots.rows([0]):
        pass
    with pytest.raises(KeyError), slots.rows([0]):
        raise KeyError
    with slots.rows([0]):
        pass


def test_digests_name_contents(alice, bob):
    assert alice.as_weights().digest == adapter_weights(alice.weights, rank=4, alpha=32.0).digest
    assert alice.as_weights().digest != bob.as_weights().digest
    assert alice.as_weights().digest != adapter_weights(alice.weights, rank=4, alpha=16.0).digest
