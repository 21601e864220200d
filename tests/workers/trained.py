"""Selectors and fine-tuned encoders as workers use them: tiny ones, whose files stand in the object store."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from django.db import transaction

from retrieval_app.models import Encoder, TrainedModel
from retrieval_app.services import ensure_encoder
from tests.eval_app.stored import small_encoder, small_t5
from tests.retrieval_app.trained import a_trained_model
from users_app.models import Workspace
from workers.engine.selector import initial_selector, write_selector
from workers.engine.sources import folder_revision
from workers.small_models import SMALL_ENCODER
from workers.trained_model_files import store_trained_model

POOL = ["none", "bm25", "recency"]


def pool_of(*retrievers: str) -> list[dict[str, str]]:
    """A stored pool of these; dense ones with the small encoder."""
    small = small_encoder() if "contriever" in retrievers else None
    encoder = {"encoder": small.name, "encoder_revision": small.revision} if small else {}
    return [{"retriever": name} | (encoder if name == "contriever" else {}) for name in retrievers]


def a_selector_folder(
    folder: Path, *, seed: int = 0, scale: float = 50.0, notes: Mapping[str, Any] | None = None
) -> Path:
    """A folder of a selector that has learned nothing, whose scores are far enough apart to be told.

    With `scale` of the other sign it prefers what it else likes least.
    """
    selector = initial_selector(str(SMALL_ENCODER), seed=seed)
    with torch.no_grad():
        selector.model.classifier.weight.mul_(scale)
        selector.model.classifier.bias.mul_(scale)
    write_selector(folder, selector)
    (folder / "selector.json").write_text(json.dumps({"reads": "pre", **(notes or {})}))
    return folder


def recorded(folder: Path, *, workspace: Workspace, kind: str, **fields: Any) -> TrainedModel:
    """Store a folder and record it as a trained model of the small base model."""
    identity = fields.pop("identity", hashlib.sha256(f"{kind} {folder_revision(folder)}".encode()).hexdigest())
    stored = store_trained_model(folder, identity=identity)
    base = small_t5()
    told = {
        "base_model": f"{base.name}@{base.revision}",
        "identity": identity,
        "object_prefix": stored.prefix,
        "content_digest": stored.digest,
        "size_bytes": stored.size_bytes,
        **fields,
    }
    with transaction.atomic():
        return a_trained_model(workspace=workspace, kind=kind, **told)


def a_selector(
    workspace: Workspace, kind: str = "rspg-pre", *pool: str, seed: int = 0, scale: float = 50.0, **fields: Any
) -> TrainedModel:
    """A recorded selector over `pool`."""
    with TemporaryDirectory() as name:
        folder = a_selector_folder(Path(name) / "selector", seed=seed, scale=scale)
        return recorded(folder, workspace=workspace, kind=kind, pool=pool_of(*(pool or POOL)), **fields)


def a_fine_tuned_encoder(workspace: Workspace, kind: str = "ropg-kd", **fields: Any) -> TrainedModel:
    """A recorded encoder of ROPG: the small one, as its training left it after no step."""
    with TemporaryDirectory() as name:
        folder = Path(name) / "encoder"
        shutil.copytree(SMALL_ENCODER, folder)
        (folder / "training.json").write_text("{}")
        identity = folder_revision(folder)
        encoder = _encoder(identity=identity, revision=folder_revision(folder))
        return recorded(folder, workspace=workspace, kind=kind, encoder=encoder, identity=identity, **fields)


def _encoder(*, identity: str, revision: str) -> Encoder:
    return ensure_encoder(name=f"trained/{identity}", revision=revision, dimension=small_encoder().dimension)
