"""Selectors and fine-tuned encoders on record that nobody loads."""

import hashlib
from typing import Any

from retrieval_app.models import TrainedModel
from retrieval_app.retrievers import SELECTING
from tests.people import TWEETS
from tests.retrieval_app.vectors import an_encoder
from users_app.models import Workspace

POOL = [{"retriever": "none"}, {"retriever": "bm25"}]
WITH_RECENCY = [{"retriever": "bm25"}, {"retriever": "recency"}]
DENSE_POOL = [
    {"retriever": "none"},
    {"retriever": "contriever", "encoder": "some/encoder", "encoder_revision": "1"},
    {"retriever": "ropg-kd", "encoder": "some/encoder", "encoder_revision": "2"},
]


def unloaded(workspace: Workspace | None, kind: str = "rspg-pre", **changed: Any) -> TrainedModel:
    """One of `kind` for tweets and the base model of `tests.eval_app.stored`; None: it came with Lamppost."""
    digest = hashlib.sha256(f"{kind} {TrainedModel.objects.count()}".encode()).hexdigest()
    values: dict[str, Any] = {
        "workspace": workspace,
        "kind": kind,
        "tasks": [TWEETS],
        "base_model": "some/t5@1",
        "documents_wanted": 2,
        "pool": POOL if kind in SELECTING else [],
        "encoder": None if kind in SELECTING else an_encoder(revision=digest),
        "initial_model": "small@1",
        "seed": 0,
        "feedback_digest": "0" * 64,
        "identity": digest,
        "object_prefix": "" if workspace is None else f"trained-models/{digest}/",
        "content_digest": digest,
        "size_bytes": 1,
        "steps": 1,
        "training_seconds": 1.0,
    }
    return TrainedModel.objects.create(**{**values, **changed})
