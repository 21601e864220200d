"""The loop of what the small selectors learn before any feedback: texts with what is true of them, step after step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from workers.small_models.checkpoints import load_checkpoint, save_checkpoint
from workers.small_models.recipe import Recipe

WARMUP_STEPS = 50
FALLS_BY = 0.9  # of the rate, until the last step
ROWS = 16  # a pass

Example = TypeVar("Example")


class Pretext(nn.Module, ABC, Generic[Example]):
    """A selector's model with what says the truths."""

    @abstractmethod
    def loss(self, examples: Sequence[Example]) -> Tensor:
        """The mean over the examples."""


def learn(
    recipe: Recipe,
    pretext: Pretext[Example],
    batch_of: Callable[[int], Sequence[Example]],
    *,
    steps: int,
    identity: str,
    checkpoint: Path,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train `pretext` in place, from the checkpoint where there is one of `identity`; `batch_of` gives a step's batch,
    those of like length side by side.
    """
    rate = recipe.selector_learning_rate
    optimizer = torch.optim.AdamW(pretext.parameters(), lr=rate, weight_decay=0.01, betas=(0.9, 0.98))
    first = load_checkpoint(checkpoint, model=pretext, optimizers=[optimizer], recipe=identity)
    pretext.train()
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / WARMUP_STEPS) * (1 - FALLS_BY * step / steps)
        optimizer.zero_grad(set_to_none=True)
        batch = batch_of(step)
        loss = 0.0
        for start in range(0, len(batch), ROWS):
            part = batch[start : start + ROWS]
            found = len(part) / len(batch) * pretext.loss(part)
            found.backward()
            loss += found.item()
        nn.utils.clip_grad_norm_(pretext.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % recipe.checkpoint_steps == 0 or step + 1 == steps:
            save_checkpoint(checkpoint, model=pretext, optimizers=[optimizer], step=step + 1, recipe=identity)
        on_step(step + 1, loss)
