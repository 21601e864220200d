"""Gates and norms as one kernel each: the same function, up to rounding."""

import pytest
import torch

from tests.workers.engine.families import FAMILIES, family_model
from tests.workers.engine.models import words_tokenizer
from workers.engine.base_model import BaseModel, wrap


def base_of(family: str, *, dtype: torch.dtype = torch.float32, fused: bool | None) -> BaseModel:
    return wrap(family_model(family, dtype=dtype), words_tokenizer(), name=family, revision="0", fused=fused)


def encoded(family: str, *, dtype: torch.dtype, fused: bool) -> torch.Tensor:
    with torch.no_grad():
        model = base_of(family, dtype=dtype, fused=fused).model
        states: torch.Tensor = model.encoder(input_ids=torch.arange(3, 33).view(3, 10)).last_hidden_state
    return states


# transformers takes a norm's mean square in float32 even where the model is in float64.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.bfloat16, 0.05)])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_encoder_says_the_same(family, dtype, tolerance):
    expected, found = (encoded(family, dtype=dtype, fused=fused).double() for fused in (False, True))
    assert float((expected - found).abs().max()) < tolerance * float(expected.abs().max())


def replaced(base: BaseModel) -> set[str]:
    return {type(module).__name__ for module in base.model.modules() if "forward" in vars(module)}


def test_names_modules_and_weights_stay():
    model, before = family_model("flan-t5"), family_model("flan-t5")
    base = wrap(model, words_tokenizer(), name="flan-t5", revision="0", fused=True)
    assert replaced(base) == {"NewGELUActivation", "T5LayerNorm"}
    assert [(name, type(module)) for name, module in base.model.named_modules()] == [
        (name, type(module)) for name, module in before.named_modules()
    ]
    assert all(torch.equal(tensor, before.state_dict()[name]) for name, tensor in base.model.state_dict().items())


def test_on_a_cpu_gates_are_fused_and_norms_are_not():
    assert replaced(base_of("flan-t5", fused=None)) == {"NewGELUActivation"}
