"""Trains the small selectors of RSPG on the small T5's feedback, with the platform's own trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from workers.engine.checkpoints import CheckpointRefused
from workers.engine.selector import Selector, initial_selector
from workers.engine.selector_training import SelectorHyperparameters, SelectorTrainer
from workers.small_models.recipe import Recipe
from workers.small_models.selector_feedback import PoolAnswers


def hyperparameters(recipe: Recipe) -> SelectorHyperparameters:
    return SelectorHyperparameters(
        learning_rate=recipe.selector_learning_rate,
        epochs=recipe.selector_epochs,
        batch_size=recipe.selector_batch,
        label_temperature=recipe.selector_label_temperature,
        validations=recipe.selector_validations,
    )


def untrained_selector(recipe: Recipe, encoder: Path) -> Selector:
    """The small encoder with a head that has learned nothing yet and scores all candidates about alike."""
    selector = initial_selector(str(encoder), seed=recipe.seed, name="selector")
    with torch.no_grad():
        selector.model.classifier.weight.mul_(recipe.selector_head)
    return selector


def train_selector(
    recipe: Recipe,
    encoder: Path,
    *,
    reads: str,
    train: Sequence[PoolAnswers],
    picked: Sequence[PoolAnswers],
    identity: str,
    checkpoint: Path,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> tuple[Selector, SelectorTrainer]:
    """Train to the recipe's end, from the checkpoint where there is one of this training; the best step's selector."""
    trainer = SelectorTrainer(
        untrained_selector(recipe, encoder),
        [answers.sample(reads=reads) for answers in train],
        [answers.sample(reads=reads) for answers in picked],
        hyperparameters=hyperparameters(recipe),
        seed=recipe.seed,
    )
    _resume(trainer, checkpoint, identity=identity)
    while not trainer.finished:
        loss = trainer.step()
        if trainer.done % recipe.checkpoint_steps == 0 or trainer.finished:
            part = checkpoint.with_suffix(".part")
            part.write_bytes(trainer.checkpoint_bytes(identity=identity))
            part.replace(checkpoint)
        on_step(trainer.done, loss)
    return trainer.best(), trainer


def _resume(trainer: SelectorTrainer, checkpoint: Path, *, identity: str) -> None:
    if not checkpoint.exists():
        return
    try:
        trainer.resume(checkpoint.read_bytes(), identity=identity)
    except CheckpointRefused:
        # Of another recipe: begin anew, as the other models' recipes do.
        return
