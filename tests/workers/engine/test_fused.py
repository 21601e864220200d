"""Gates and norms as one kernel each: the same function, up to rounding."""

import pytest
import torch

from tests.workers.engine.families import FAMILIES, family_model
from tests.workers.engine.models import pairs_of, words_tokenizer
from workers.engine.base_model import wrap
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.training import TrainedAdapter, train_adapter

HYPERPARAMETERS = Hyperparameters(rank=4, alpha=16, epochs=3, learning_rate=2e-2, batch_size=4)


def trained(family: str, *, dtype: torch.dtype, fused: bool | None) -> TrainedAdapter:
    base = wrap(family_model(family, dtype=dtype), words_tokenizer(), name=family, revision="0", fused=fused)
    return train_adapter(base, pairs=pairs_of("alice", count=6), hyperparameters=HYPERPARAMETERS, seed=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_are_the_same_in_float64(family):
    expected = trained(family, dtype=torch.float64, fused=False)
    found = trained(family, dtype=torch.float64, fused=True)
    assert max(float((expected.weights[name] - found.weights[name]).abs().max()) for name in found.weights) < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_agree_in_bfloat16(family):
    expected = trained(family, dtype=torch.bfloat16, fused=False)
    found = trained(family, dtype=torch.bfloat16, fused=True)
    assert found.loss_curve == pytest.approx(expected.loss_curve, rel=0.05)


def test_names_modules_and_weights_stay():
    model, before = family_model("flan-t5"), family_model("flan-t5")
    base = wrap(model, words_tokenizer(), name="flan-t5", revision="0", fused=True)
    assert base.fused
    assert [(name, type(module)) for name, module in base.model.named_modules()] == [
        (name, type(module)) for name, module in before.named_modules()
    ]
    assert all(torch.equal(tensor, before.state_dict()[name]) for name, tensor in base.model.state_dict().items())


def test_on_a_cpu_gates_are_fused_and_norms_are_not():
    base = wrap(family_model("flan-t5"), words_tokenizer(), name="flan-t5", revision="0")
    replaced = {type(module).__name__ for module in base.model.modules() if "forward" in vars(module)}
    assert not base.fused
    assert replaced == {"NewGELUActivation"}
