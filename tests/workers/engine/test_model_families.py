"""Every model of the T5 family trains and answers as plain peft does, wherever its layers lie."""

import pytest
import torch
from accelerate import dispatch_model

from tests.workers.engine import oracle
from tests.workers.engine.families import FAMILIES, family_model
from tests.workers.engine.models import pairs_of, prompts, words_tokenizer
from workers.engine.base_model import BaseModel, load_base_model, wrap
from workers.engine.generation import GenerationRow, generate
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.lora import LoraSlots
from workers.engine.sources import ModelRefused
from workers.engine.training import TrainedAdapter, train_adapter

PLAIN = Hyperparameters(rank=4, alpha=16, dropout=0.0, epochs=3, learning_rate=2e-2, batch_size=4)
DTYPES = (torch.float32, torch.bfloat16)


def base_of(family: str, dtype: torch.dtype = torch.float32) -> BaseModel:
    return wrap(family_model(family, dtype=dtype), words_tokenizer(), name=family, revision="0")


def trained_on(base: BaseModel) -> TrainedAdapter:
    return train_adapter(base, pairs=pairs_of("alice", count=6), hyperparameters=PLAIN, seed=1)


def answers_of(base: BaseModel, adapter: TrainedAdapter) -> list:
    rows = [GenerationRow(prompt, adapter.as_weights()) for prompt in prompts(5, count=3)]
    return generate(base, [*rows, GenerationRow(rows[0].prompt)], max_output_tokens=6)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_any_family_is_loaded_weight_for_weight(family, tmp_path):
    """The output layer included, which transformers would tie to the embedding in a new model."""
    family_model(family).save_pretrained(tmp_path)
    words_tokenizer().save_pretrained(tmp_path)
    base = load_base_model(str(tmp_path))
    assert (base.model.lm_head.weight is base.model.shared.weight) == (family == "t5")
    expected = family_model(family).state_dict()
    found = base.model.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_of_any_family_is_that_of_peft(family):
    base = wrap(family_model(family, dtype=torch.float64), words_tokenizer(), name=family, revision="0")
    start = _start(base)
    reference = oracle.peft_model(family_model(family, dtype=torch.float64), PLAIN, start)
    pairs = pairs_of("alice", count=6)
    oracle.train(reference, pairs, PLAIN, seed=1, steps=6)
    expected = {name: parameter.detach() for name, parameter in oracle.trainable(reference).items()}
    weights = trained_on(base).weights
    assert max(float((weights[name] - expected[name]).abs().max()) for name in expected) < 1e-7


def _start(base: BaseModel) -> dict[str, torch.Tensor]:
    slots = LoraSlots(base.projections, slots=1, rank=PLAIN.rank, dtype=base.adapter_dtype)
    slots.reset(0, seed=1, rank=PLAIN.rank, alpha=PLAIN.alpha)
    return slots.read(0)


@pytest.mark.parametrize("family", FAMILIES)
def test_any_family_learns_in_bfloat16_with_float32_adapters(family):
    base = base_of(family, torch.bfloat16)
    assert {parameter.dtype for parameter in base.model.parameters()} == {torch.bfloat16}
    adapter = trained_on(base)
    assert {tensor.dtype for tensor in adapter.weights.values()} == {torch.float32}
    assert adapter.loss_curve[-1] < adapter.loss_curve[0]
    exact = trained_on(base_of(family))
    assert adapter.loss_curve[0] == pytest.approx(exact.loss_curve[0], rel=0.05)


def spread(family: str, dtype: torch.dtype) -> BaseModel:
    """Layer by layer with accelerate's hooks, as over several GPUs; here every layer lies on the CPU."""
    model = family_model(family, dtype=dtype)
    whole_layers = model._no_split_modules
    placement = {
        name: "cpu"
        for name, module in model.named_modules()
        if type(module).__name__ in whole_layers or ("block" not in name and not list(module.children()))
    }
    dispatched = dispatch_model(model, placement, main_device="cpu", force_hooks=True)
    return wrap(dispatched, words_tokenizer(), name=family, revision="0")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_spread_layer_by_layer_trains_and_answers_the_same(family, dtype):
    whole, parts = base_of(family, dtype), spread(family, dtype)
    assert sum(hasattr(module, "_hf_hook") for module in parts.model.modules()) > 60
    expected, found = trained_on(whole), trained_on(parts)
    assert found.loss_curve == expected.loss_curve
    assert all(torch.equal(found.weights[name], expected.weights[name]) for name in expected.weights)
    assert answers_of(parts, found) == answers_of(whole, expected)


def test_layers_that_only_fit_the_disk_are_refused(tmp_path):
    model = family_model("flan-t5")
    placement = {"": "cpu", "encoder.block.0": "disk"}
    dispatched = dispatch_model(model, placement, main_device="cpu", offload_dir=str(tmp_path))
    with pytest.raises(ModelRefused, match="does not fit the memory of the GPUs"):
        wrap(dispatched, words_tokenizer(), name="flan-t5", revision="0")


def test_auto_spreads_over_what_is_there(tmp_path):
    """Without a GPU that is the CPU, in its own precision."""
    family_model("flan-t5").save_pretrained(tmp_path)
    words_tokenizer().save_pretrained(tmp_path)
    base = load_base_model(str(tmp_path), device="auto")
    assert answers_of(base, trained_on(base)) == answers_of(base_of("flan-t5"), trained_on(base_of("flan-t5")))
