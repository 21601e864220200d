"""Trains the small selectors of RSPG: to count and to compare; then, with the platform's own trainer, in rounds on what
a tutor says of the small T5's feedback and on the feedback itself. The mean of what the last rounds reach is kept.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerFast

from workers.engine.checkpoints import CheckpointRefused
from workers.engine.selector import Selector, token_rows, wrap_selector
from workers.engine.selector_training import SelectorHyperparameters, SelectorSample, SelectorTrainer
from workers.small_models.recipe import Recipe, Round, Teacher
from workers.small_models.selector_comparing import learn_to_compare
from workers.small_models.selector_feedback import PoolAnswers
from workers.small_models.selector_initial import selector_tokenizer, untrained_selector_model
from workers.small_models.selector_pretext import learn_to_count
from workers.small_models.selector_tutor import tutored

OnStep = Callable[[int, float], None]


def hyperparameters(recipe: Recipe, one: Round) -> SelectorHyperparameters:
    """Of the training in a round. A tutor's scores are logarithms of shares already."""
    return SelectorHyperparameters(
        learning_rate=recipe.selector_learning_rate * one.rate,
        epochs=one.epochs,
        batch_size=recipe.selector_batch,
        label_temperature=recipe.selector_label_temperature if one.teacher == Teacher.FEEDBACK else 1.0,
        validations=recipe.selector_validations,
    )


def untrained_selector(recipe: Recipe, encoder: Path) -> Selector:
    """A selector that has learned nothing yet, with the small encoder's words."""
    tokenizer = selector_tokenizer(PreTrainedTokenizerFast.from_pretrained(encoder))
    return wrap_selector(untrained_selector_model(tokenizer, seed=recipe.seed), tokenizer, name="selector")


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


class Course(NamedTuple):
    """How a round went: optimizer steps, after which of them the best was reached, and pairs of a step and the mean
    utility of what was then chosen for the users that steps are picked by.
    """

    teacher: Teacher
    steps: int
    best_step: int | None
    validations: list[tuple[int, float]]


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
) -> tuple[Selector, list[Course]]:
    """Train to the recipe's end, from the checkpoints where there are any of this training.

    Each round begins with the best step of the one before. What comes out is the mean of what the last rounds reached,
    and how those went: each of them wanders about what it learns, and in the mean that wandering is less (Izmailov et
    al., UAI 2018).

    Each part has a checkpoint of its own, its name added to that of `checkpoint`; `on_step` hears the steps of one part
    after the other.
    """
    selector = comparing_selector(
        recipe, encoder, reads=reads, train=train, identity=identity, checkpoint=checkpoint, on_step=on_step
    )
    dev = [answers.sample(reads=reads) for answers in picked]
    lessons = _lessons(recipe, train, reads=reads)
    reached, courses = [], []
    for number, one in enumerate(recipe.selector_rounds):
        trainer = SelectorTrainer(
            selector,
            lessons[one.teacher],
            dev,
            hyperparameters=hyperparameters(recipe, one),
            seed=recipe.seed,
        )
        _train(recipe, trainer, identity=identity, checkpoint=_part(checkpoint, f"round_{number}"), on_step=on_step)
        selector = trainer.best()
        reached.append(selector)
        courses.append(Course(one.teacher, trainer.total, trainer.best_step, trainer.validations))
    return mean_of(reached[recipe.selector_mean_from :]), courses[recipe.selector_mean_from :]


@torch.no_grad()
def mean_of(selectors: Sequence[Selector]) -> Selector:
    """One whose weights are the mean of those of `selectors`, which are alike but for them."""
    first = selectors[0]
    model = copy.deepcopy(first.model)
    others = [dict(one.model.named_parameters()) for one in selectors]
    for name, parameter in model.named_parameters():
        parameter.copy_(torch.stack([other[name] for other in others]).mean(dim=0))
    return wrap_selector(model, first.tokenizer, name=first.name)


def _lessons(recipe: Recipe, train: Sequence[PoolAnswers], *, reads: str) -> dict[Teacher, list[SelectorSample]]:
    taught = tutored(recipe, train, reads=reads)
    feedback = [answers.sample(reads=reads) for answers in train]
    return {Teacher.TUTOR: taught.as_said, Teacher.EVEN_TUTOR: taught.even, Teacher.FEEDBACK: feedback}


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
