"""Builds the small models: training (the tokenizer's too, where there is none yet), folder, measurement, card."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lamp.catalogue import task_versions
from workers.engine.base_model import load_base_model
from workers.engine.encoder import load_encoder
from workers.engine.selector import load_selector, write_selector
from workers.engine.sources import folder_revision
from workers.small_models.cards import encoder_card, selector_card, t5_card
from workers.small_models.encoder_training import train_encoder
from workers.small_models.folders import CARD, put_in_place, write_model
from workers.small_models.measuring import measure_encoder, measure_t5
from workers.small_models.recipe import Recipe
from workers.small_models.samples import TASKS, texts
from workers.small_models.selector_feedback import CONTRIEVER, DOCUMENTS, POOL, gather
from workers.small_models.selector_measuring import (
    DRIFT_ALONE,
    MEASURED,
    MEASURED_SEED,
    NO_TRAITS,
    Measured,
    answered,
    mean_share,
    measure_selectors,
)
from workers.small_models.selector_training import hyperparameters, train_selector
from workers.small_models.t5_training import train_t5
from workers.small_models.tokenization import train_encoder_tokenizer, train_t5_tokenizer

OnStep = Callable[[int, float], None]
OnPart = Callable[[str, int], None]
SELECTOR_FILE = "selector.json"


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


def build_selectors(
    recipe: Recipe,
    *,
    folders: dict[str, Path],
    t5: Path,
    encoder: Path,
    checkpoints: Path,
    on_part: OnPart,
    on_step: Callable[[str], OnStep],
) -> None:
    """Make the feedback, train both selectors on it, measure and write them; `folders` ("pre" and "post") are replaced
    when everything has been done. `on_step` gives a listener by the selector's name.
    """
    base, dense = load_base_model(str(t5)), load_encoder(str(encoder))
    revisions = {"base_model_revision": folder_revision(t5), "encoder_revision": folder_revision(encoder)}
    train, picked, digest = gather(
        recipe,
        base,
        dense,
        folder=checkpoints / "selector_feedback",
        made_with=json.dumps(revisions, sort_keys=True),
        on_part=on_part,
    )
    records: dict[str, dict[str, Any]] = {}
    fresh = {reads: folder.with_name(f".{folder.name}.fresh") for reads, folder in folders.items()}
    for reads, folder in fresh.items():
        selector, courses = train_selector(
            recipe,
            encoder,
            reads=reads,
            train=train,
            picked=picked,
            identity=f"{reads}/{digest}/{recipe.part('selector')}",
            checkpoint=checkpoints / f"selector_{reads}.safetensors",
            on_step=on_step(reads),
        )
        write_selector(folder, selector)
        rounds = [course._asdict() for course in courses]
        records[reads] = _selector_record(recipe, reads, digest=digest, **revisions) | {"metrics": {"rounds": rounds}}
    selectors = {reads: load_selector(folder) for reads, folder in fresh.items()}
    measured = [
        measure_selectors(selectors, answered(users=users, seed=MEASURED_SEED, setting=setting, t5=t5, encoder=encoder))
        for users, setting in (
            (recipe.measured_selector_users, MEASURED),
            (recipe.measured_selector_users // 2, DRIFT_ALONE),
            (recipe.measured_selector_users // 2, NO_TRAITS),
        )
    ]
    for reads, folder in folders.items():
        records[reads]["metrics"]["measured"] = _shares(measured[0], reads)
        text = json.dumps(records[reads], indent=2, ensure_ascii=False) + "\n"
        (fresh[reads] / SELECTOR_FILE).write_text(text, encoding="utf-8")
        card = selector_card(
            recipe, selectors[reads].model, reads, measured[0], drift_alone=measured[1], without_traits=measured[2]
        )
        (fresh[reads] / CARD).write_text(card, encoding="utf-8")
        for file in fresh[reads].iterdir():
            file.chmod(0o644)
        put_in_place(fresh[reads], folder)


def _selector_record(
    recipe: Recipe, reads: str, *, digest: str, base_model_revision: str, encoder_revision: str
) -> dict[str, Any]:
    """What a selector reads, chooses among and was trained with."""
    pool: list[dict[str, Any]] = [{"retriever": member} for member in POOL]
    pool[POOL.index(CONTRIEVER)] |= {"encoder": "small", "encoder_revision": encoder_revision}
    return {
        "reads": reads,
        "tasks": list(TASKS),
        "task_versions": task_versions(TASKS),
        "pool": pool,
        "base_model": "small",
        "base_model_revision": base_model_revision,
        "documents": DOCUMENTS,
        "hyperparameters": hyperparameters(recipe, recipe.selector_rounds[-1]).as_dict(),
        "seed": recipe.seed,
        "feedback_digest": digest,
    }


def _shares(measured: dict[str, Measured], reads: str) -> dict[str, Any]:
    return {
        "strength": MEASURED.strength,
        "drift": MEASURED.drift,
        "manners": MEASURED.manners,
        "mean_share": round(mean_share(measured, reads), 6),
        "tasks": {
            task_key: {
                "metric": one.metric,
                "best_single": one.best,
                "best_single_score": round(one.members[one.best], 6),
                "selector": round(one.chosen[reads].score, 6),
                "oracle": round(one.oracle, 6),
                "p": round(one.chosen[reads].p, 6),
            }
            for task_key, one in measured.items()
        },
    }
