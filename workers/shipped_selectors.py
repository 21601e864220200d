"""Recording the selectors that come with the small models, so that RSPG works before anybody has trained one."""

import json
import logging
from pathlib import Path
from typing import Any, Final

from django.db import transaction

from retrieval_app.models import TrainedModel
from retrieval_app.pools import encoders_of_pool, read_pool
from retrieval_app.retrievers import RSPG_POST, RSPG_PRE
from retrieval_app.shipped_models import record_shipped_model, withdraw_shipped_models_before
from training_app.models import BaseModel
from workers import loaded
from workers.engine.sources import ModelRefused, ModelUnavailable, folder_revision
from workers.model_names import SMALL, shipped_selector_folder
from workers.trained_model_files import size_of

logger = logging.getLogger(__name__)

_NOTES: Final = "selector.json"


def record_shipped_selectors(base_model: BaseModel) -> list[TrainedModel]:
    """Record each shipped selector that was trained for this base model, with the encoders of its pool.

    There are none for any base model but the small one, and none where it has changed since: a selector knows how one
    base model answers. Safe to repeat. One that takes the place of another version's withdraws that; where one cannot
    be recorded now, as when the encoder of its pool cannot be reached, what stands of its kind stays.
    """
    if base_model.name != SMALL:
        return []
    recorded = []
    for kind in (RSPG_PRE, RSPG_POST):
        folder = shipped_selector_folder(kind)
        if folder is None:
            continue
        try:
            fields = _fields(folder, kind=kind, base_model=base_model)
        except (KeyError, ModelRefused, ModelUnavailable, OSError, TypeError, ValueError) as problem:
            logger.warning("%s is not recorded: %s: %s", kind, type(problem).__name__, problem)
            continue
        if fields is not None:
            recorded.append(_record_in_place(folder, fields))
    return recorded


@transaction.atomic
def _record_in_place(folder: Path, fields: dict[str, Any]) -> TrainedModel:
    recorded = record_shipped_model(digest=folder_revision(folder), fields=fields)
    withdraw_shipped_models_before(recorded)
    return recorded


def _fields(folder: Path, *, kind: str, base_model: BaseModel) -> dict[str, Any] | None:
    """What is recorded of the selector in `folder`; None where it is for another base model."""
    notes = json.loads((folder / _NOTES).read_text(encoding="utf-8"))
    if (notes["base_model"], notes["base_model_revision"]) != (base_model.name, base_model.revision):
        return None
    pool = read_pool(notes["pool"])
    for encoder in {member.encoder for member in pool if member.encoder}:
        loaded.record_encoder(encoder)
    # Not recorded after that: another revision of the encoder is here than the one whose vectors it has learned with.
    encoders_of_pool(pool)
    return {
        "kind": kind,
        "tasks": list(notes["tasks"]),
        "task_versions": dict(notes.get("task_versions", {})),
        "base_model": f"{base_model.name}@{base_model.revision}",
        "documents_wanted": notes["documents"],
        "pool": [member.as_stored() for member in pool],
        "initial_model": notes.get("initial_model", ""),
        "hyperparameters": notes["hyperparameters"],
        "seed": notes["seed"],
        "feedback_digest": notes["feedback_digest"],
        "size_bytes": size_of(folder),
        "metrics": notes["metrics"],
        "steps": notes.get("steps", 0),
        "training_seconds": notes.get("training_seconds", 0.0),
    }
