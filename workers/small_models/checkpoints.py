"""Checkpoints of a training: weights, optimizer and step in one safetensors file, so a recipe that was stopped goes
on where it was.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

OPTIMIZER_STATE = ("exp_avg", "exp_avg_sq", "step")


def save_checkpoint(
    path: Path, *, model: torch.nn.Module, optimizer: torch.optim.AdamW, step: int, recipe: str
) -> None:
    """Write the state after `step` steps; `recipe` says of which training it is."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    tensors = {f"model/{name}": parameter.detach().contiguous() for name, parameter in model.named_parameters()}
    for parameter, state in optimizer.state.items():
        for key in OPTIMIZER_STATE:
            tensors[f"optimizer/{key}/{names[id(parameter)]}"] = state[key].contiguous()
    part = path.with_suffix(".part")
    save_file(tensors, part, metadata={"step": str(step), "recipe": recipe})
    os.replace(part, path)


def load_checkpoint(path: Path, *, model: torch.nn.Module, optimizer: torch.optim.AdamW, recipe: str) -> int:
    """Put the saved state into model and optimizer and return the steps done; 0 where there is none of this recipe."""
    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as file:
        saved = set(file.keys())
        metadata = file.metadata()
        if metadata["recipe"] != recipe:
            return 0
        for name, parameter in model.named_parameters():
            with torch.no_grad():
                parameter.copy_(file.get_tensor(f"model/{name}"))
            if f"optimizer/step/{name}" in saved:  # a weight that has no gradient has no state
                optimizer.state[parameter] = {
                    key: file.get_tensor(f"optimizer/{key}/{name}") for key in OPTIMIZER_STATE
                }
    return int(metadata["step"])
