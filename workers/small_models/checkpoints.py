"""Checkpoints of a training: weights, optimizers' state and step in one safetensors file, so a recipe that was stopped
goes on where it was.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.optim import Optimizer


def save_checkpoint(
    path: Path, *, model: torch.nn.Module, optimizers: Sequence[Optimizer], step: int, recipe: str
) -> None:
    """Write the state after `step` steps; `recipe` says of which training it is."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    tensors = {f"model/{name}": parameter.detach().contiguous() for name, parameter in model.named_parameters()}
    for optimizer in optimizers:
        for parameter, state in optimizer.state.items():
            for key, value in state.items():
                tensors[f"optimizer/{names[id(parameter)]}/{key}"] = value.contiguous()
    part = path.with_suffix(".part")
    save_file(tensors, part, metadata={"step": str(step), "recipe": recipe})
    os.replace(part, path)


def load_checkpoint(path: Path, *, model: torch.nn.Module, optimizers: Sequence[Optimizer], recipe: str) -> int:
    """Put the saved state into model and optimizers and return the steps done; 0 where there is none of this recipe."""
    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        if metadata["recipe"] != recipe:
            return 0
        parameters = dict(model.named_parameters())
        owners = {
            id(parameter): optimizer
            for optimizer in optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        }
        for key in file.keys():  # noqa: SIM118 - a safetensors file is no mapping
            kind, _, rest = key.partition("/")
            if kind == "model":
                with torch.no_grad():
                    parameters[rest].copy_(file.get_tensor(key))
            else:
                name, _, part = rest.partition("/")
                parameter = parameters[name]
                owners[id(parameter)].state[parameter][part] = file.get_tensor(key)
    return int(metadata["step"])
