"""Builds a small model from nothing: tokenizer, training, folder, measurement, card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from workers.small_models.cards import encoder_card, t5_card
from workers.small_models.encoder_training import train_encoder
from workers.small_models.folders import CARD, put_in_place, write_model
from workers.small_models.measuring import measure_encoder, measure_t5
from workers.small_models.recipe import Recipe
from workers.small_models.samples import texts
from workers.small_models.t5_training import train_t5
from workers.small_models.tokenization import train_encoder_tokenizer, train_t5_tokenizer

OnStep = Callable[[int, float], None]


def build_t5(recipe: Recipe, *, folder: Path, checkpoint: Path, on_step: OnStep) -> None:
    """Train, measure and write the small T5; `folder` is replaced when everything has been done."""
    tokenizer = train_t5_tokenizer(texts(seed=recipe.seed, users=recipe.tokenizer_users), vocabulary=recipe.vocabulary)
    model = train_t5(recipe, tokenizer, checkpoint=checkpoint, on_step=on_step)
    fresh = folder.with_name(f".{folder.name}.fresh")
    write_model(fresh, model=model, tokenizer=tokenizer)
    card = t5_card(recipe, model, measure_t5(fresh, users=recipe.measured_users))
    (fresh / CARD).write_text(card, encoding="utf-8")
    put_in_place(fresh, folder)


def build_encoder(recipe: Recipe, *, folder: Path, checkpoint: Path, on_step: OnStep) -> None:
    """Train, measure and write the small encoder; `folder` is replaced when everything has been done."""
    tokenizer = train_encoder_tokenizer(
        texts(seed=recipe.seed, users=recipe.tokenizer_users), vocabulary=recipe.vocabulary
    )
    model = train_encoder(recipe, tokenizer, checkpoint=checkpoint, on_step=on_step)
    fresh = folder.with_name(f".{folder.name}.fresh")
    write_model(fresh, model=model, tokenizer=tokenizer)
    card = encoder_card(recipe, model, measure_encoder(fresh, users=recipe.measured_users))
    (fresh / CARD).write_text(card, encoding="utf-8")
    put_in_place(fresh, folder)
