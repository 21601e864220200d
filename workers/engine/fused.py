"""T5's gates and norms as one kernel each.

transformers computes the gate's GELU in eight steps and T5's RMS norm in six, each of which reads and writes the whole
activation. The functions are the same up to rounding (a norm in bfloat16 is rounded once here, twice there). Gates
gain up to a tenth of a training step on a CPU. Norms, which the modules' own forward alone uses (training has its own:
`workers.engine.packed_t5`), gain nothing there; on a GPU both move as many bytes as the matrix products between them.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import NewGELUActivation
from transformers.models.mt5.modeling_mt5 import MT5LayerNorm
from transformers.models.t5.modeling_t5 import T5LayerNorm


def fuse_gates(model: nn.Module) -> None:
    """Let the model's gates run as one kernel each; no module, name or weight changes.

    Modules that were given another `forward`, as spreading a model over several GPUs does, keep it.
    """
    _replace(model, (NewGELUActivation,), _tanh_gelu)


def fuse_norms(model: nn.Module) -> None:
    """The same for its norms."""
    _replace(model, (T5LayerNorm, MT5LayerNorm), _rms_norm)


def _replace(model: nn.Module, kinds: tuple[type[nn.Module], ...], forward: Callable[..., Tensor]) -> None:
    for module in model.modules():
        if isinstance(module, kinds) and "forward" not in vars(module):
            module.forward = MethodType(forward, module)


def _rms_norm(norm: Any, hidden: Tensor) -> Tensor:
    weight: Tensor = norm.weight
    return functional.rms_norm(hidden.to(weight.dtype), weight.shape, weight, norm.variance_epsilon)


def _tanh_gelu(_: nn.Module, values: Tensor) -> Tensor:
    return functional.gelu(values, approximate="tanh")
