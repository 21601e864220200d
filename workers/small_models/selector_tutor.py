"""The small selectors' tutor: for each task a few small networks over the features of a prompt's entries.

They learn from the feedback what those features are worth (a few thousand questions suffice for some thirty numbers),
and then say it of each candidate without the chance that is in its own output. A selector that learns from what they
say needs a fraction of the steps that the feedback itself would take it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from workers.engine.selector_training import SelectorSample, selection_loss
from workers.small_models.recipe import Recipe
from workers.small_models.selector_entries import compared
from workers.small_models.selector_feedback import PoolAnswers

NETWORKS = 3  # their mean is what the tutor says
WIDTH = 32
EPOCHS = 15
BATCH = 64
RATE = 2e-3
WEIGHT_DECAY = 0.1
SPREAD = 0.5  # of scores around their question's mean, where tasks weigh alike


class Tutored(NamedTuple):
    """Questions with the tutor's scores in place of utilities: as it says them, and so that tasks weigh alike."""

    as_said: list[SelectorSample]
    even: list[SelectorSample]


def tutored(recipe: Recipe, train: Sequence[PoolAnswers], *, reads: str) -> Tutored:
    """What the tutor says of the questions of `train`.

    A score is the logarithm of a share but for a constant of its question. How far those of a question are apart says
    how much it weighs in the loss; in `even` that is on average the same in every task. Of tasks in which no choice
    makes a difference the utilities stay, and nothing is learned.
    """
    found = Tutored([], [])
    for task_key in sorted({answers.task_key for answers in train}):
        questions = [answers for answers in train if answers.task_key == task_key]
        samples = [answers.sample(reads=reads) for answers in questions]
        if all(len(set(sample.utilities)) == 1 for sample in samples):
            found.as_said.extend(samples)
            found.even.extend(samples)
            continue
        features = torch.tensor([[compared(task_key, text) for text in sample.texts] for sample in samples])
        utilities = torch.tensor([sample.utilities for sample in samples])
        scores = _scores(features, utilities, label_temperature=recipe.selector_label_temperature, seed=recipe.seed)
        found.as_said.extend(_with(samples, scores))
        found.even.extend(_with(samples, of_equal_weight(scores)))
    return found


def _with(samples: Sequence[SelectorSample], scores: Tensor) -> list[SelectorSample]:
    return [SelectorSample(sample.texts, tuple(said)) for sample, said in zip(samples, scores.tolist(), strict=True)]


def of_equal_weight(scores: Tensor) -> Tensor:
    """[questions, pool] of one task, stretched until they lie `SPREAD` around their question's mean (root of the mean
    square); scores that are all alike stay.
    """
    centred = scores - scores.mean(dim=1, keepdim=True)
    spread = centred.square().mean().sqrt()
    return centred * (SPREAD / spread) if spread > 0 else centred


def _scores(features: Tensor, utilities: Tensor, *, label_temperature: float, seed: int) -> Tensor:
    """[questions, pool], of networks that learned from these; `features` is [questions, pool, features]."""
    flat = features.flatten(0, 1)
    scaled = (features - flat.mean(dim=0)) / (flat.std(dim=0, unbiased=False) + 1e-3)
    said = []
    with torch.random.fork_rng(devices=[]):
        for number in range(NETWORKS):
            torch.manual_seed(1000 * seed + number)
            network = _trained(scaled, utilities, label_temperature=label_temperature)
            with torch.no_grad():
                said.append(network(scaled)[:, :, 0])
    return torch.stack(said).mean(dim=0)


def _trained(features: Tensor, utilities: Tensor, *, label_temperature: float) -> nn.Module:
    network = nn.Sequential(
        nn.Linear(features.shape[-1], WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, 1)
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)
    for epoch in range(EPOCHS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - epoch / EPOCHS)
        for batch in torch.randperm(len(features)).split(BATCH):
            scores = network(features[batch])[:, :, 0]
            loss = selection_loss(scores, utilities[batch], temperature=1.0, label_temperature=label_temperature)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network
