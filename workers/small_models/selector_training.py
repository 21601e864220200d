"""Trains the small selectors of RSPG: to count and to compare; then, with the platform's own trainer, on what a tutor
says of the small T5's feedback, and last on the feedback itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from workers.engine.checkpoints import CheckpointRefused
from workers.engine.selector import Selector, token_rows, wrap_selector
from workers.engine.selector_training import SelectorHyperparameters, SelectorTrainer
from workers.small_models.recipe import Recipe
from workers.small_models.selector_comparing import learn_to_compare
from workers.small_models.selector_feedback import PoolAnswers
from workers.small_models.selector_initial import selector_tokenizer, untrained_selector_model
from workers.small_models.selector_pretext import learn_to_count
from workers.small_models.selector_tutor import tutored

OnStep = Callable[[int, float], None]


def hyperparameters(recipe: Recipe) -> SelectorHyperparameters:
    """Of the training on the feedback."""
    return SelectorHyperparameters(
        learning_rate=recipe.selector_learning_rate * recipe.selector_feedback_rate,
        epochs=recipe.selector_epochs,
        batch_size=recipe.selector_batch,
        label_temperature=recipe.selector_label_temperature,
        validations=recipe.selector_validations,
    )


def untrained_selector(recipe: Recipe, encoder: Path) -> Selector:
    """A selector that has learned nothing yet, with the small encoder's words."""
    tokenizer = selector_tokenizer(PreTrainedTokenizerFast.from_pretrained(encoder))
    return wrap_selector(untrained_selector_model(tokenizer, seed=recipe.seed), tokenizer, name="selector")


def tutored_hyperparameters(recipe: Recipe) -> SelectorHyperparameters:
    """Of the training on what the tutor says, whose scores are logarithms of shares already."""
    return replace(
        hyperparameters(recipe),
        learning_rate=recipe.selector_learning_rate * recipe.selector_tutored_rate,
        epochs=recipe.selector_tutored_epochs,
        label_temperature=1.0,
    )


def comparing_selector(
    recipe: Recipe,
    encoder: Path,
    *,
    reads: str,
    train: Sequence[PoolAnswers],
    identity: str,
    checkpoint: Path,
    on_step: OnStep = lambda step, loss: None,
) -> Selector:
    """One that has learned to count and to compare in the prompts (and outputs) of `train`."""
    selector = untrained_selector(recipe, encoder)
    candidates = [(answers.task_key, text) for answers in train for text in answers.texts(reads=reads)]
    model = selector.model.requires_grad_(True)
    learn_to_count(
        recipe,
        model,
        token_rows(selector, [text for _, text in candidates]),
        identity=identity,
        checkpoint=_part(checkpoint, "counting"),
        on_step=on_step,
    )
    learn_to_compare(
        recipe,
        selector,
        candidates,
        identity=identity,
        checkpoint=_part(checkpoint, "comparing"),
        on_step=on_step,
    )
    return wrap_selector(model, selector.tokenizer, name=selector.name)


def train_selector(
    recipe: Recipe,
    encoder: Path,
    *,
    reads: str,
    train: Sequence[PoolAnswers],
    picked: Sequence[PoolAnswers],
    identity: str,
    checkpoint: Path,
    on_step: OnStep = lambda step, loss: None,
) -> tuple[Selector, SelectorTrainer]:
    """Train to the recipe's end, from the checkpoints where there are any of this training; the best step's selector.

    Each part before the feedback has a checkpoint of its own beside `checkpoint`; `on_step` hears the steps of one part
    after the other.
    """
    selector = comparing_selector(
        recipe, encoder, reads=reads, train=train, identity=identity, checkpoint=checkpoint, on_step=on_step
    )
    dev = [answers.sample(reads=reads) for answers in picked]
    lessons = tutored(recipe, train, reads=reads)
    if lessons:
        taught = SelectorTrainer(
            selector, lessons, dev, hyperparameters=tutored_hyperparameters(recipe), seed=recipe.seed
        )
        _train(recipe, taught, identity=identity, checkpoint=_part(checkpoint, "tutored"), on_step=on_step)
        selector = taught.best()
    trainer = SelectorTrainer(
        selector,
        [answers.sample(reads=reads) for answers in train],
        dev,
        hyperparameters=hyperparameters(recipe),
        seed=recipe.seed,
    )
    _train(recipe, trainer, identity=identity, checkpoint=checkpoint, on_step=on_step)
    return trainer.best(), trainer


def _train(recipe: Recipe, trainer: SelectorTrainer, *, identity: str, checkpoint: Path, on_step: OnStep) -> None:
    """To the end, from the checkpoint where there is one."""
    _resume(trainer, checkpoint, identity=identity)
    while not trainer.finished:
        loss = trainer.step()
        if trainer.done % recipe.checkpoint_steps == 0 or trainer.finished:
            part = checkpoint.with_suffix(".part")
            part.write_bytes(trainer.checkpoint_bytes(identity=identity))
            part.replace(checkpoint)
        on_step(trainer.done, loss)


def _part(checkpoint: Path, name: str) -> Path:
    return checkpoint.with_name(f"{checkpoint.stem}_{name}{checkpoint.suffix}")


def _resume(trainer: SelectorTrainer, checkpoint: Path, *, identity: str) -> None:
    if not checkpoint.exists():
        return
    try:
        trainer.resume(checkpoint.read_bytes(), identity=identity)
    except CheckpointRefused:
        # Of another recipe: begin anew, as the other models' recipes do.
        return
