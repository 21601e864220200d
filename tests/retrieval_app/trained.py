"""Trained models that nobody trained, and what selectors are said to have chosen."""

import hashlib
from typing import Any

from retrieval_app.models import TrainedModel
from retrieval_app.retrievers import SELECTING
from retrieval_app.services import ensure_encoder
from tests.people import TWEETS
from training_app.models import Generation
from users_app.models import Workspace

BASE_MODEL = "some/t5@1"
POOL = [{"retriever": "none"}, {"retriever": "bm25"}]
WITH_RECENCY = [{"retriever": "bm25"}, {"retriever": "recency"}]
SCORES = [-0.25, 1.5]
TOLD = {
    "retriever": "bm25",
    "candidates": [{"retriever": "none", "score": -0.25}, {"retriever": "bm25", "score": 1.5}],
}
"""How `POOL` with `SCORES` is told to programs."""


def a_trained_model(*, workspace: Workspace | None, kind: str = "rspg-pre", **fields: Any) -> TrainedModel:
    """One of `kind` on record, for tweets and the base model of `tests.training_app.adapters`; None: it came with
    Lamppost. Nobody has trained it, and no two are alike.
    """
    identity = hashlib.sha256(f"{kind} {TrainedModel.objects.count()}".encode()).hexdigest()
    if kind in SELECTING:
        fields.setdefault("pool", POOL)
    elif "encoder" not in fields:
        fields["encoder"] = ensure_encoder(name="fine-tuned", revision=identity, dimension=2)
    told = {
        "tasks": [TWEETS],
        "base_model": BASE_MODEL,
        "documents_wanted": 2,
        "initial_model": "small@1",
        "seed": 0,
        "feedback_digest": "0" * 64,
        "identity": identity,
        "object_prefix": "" if workspace is None else f"trained-models/{identity}/",
        "content_digest": identity,
        "size_bytes": 1,
        "steps": 1,
        "training_seconds": 1.0,
        **fields,
    }
    return TrainedModel.objects.create(workspace=workspace, kind=kind, **told)


def trained(workspace: Workspace | None, kind: str = "rspg-pre", **changed: Any) -> TrainedModel:
    """One that takes four documents."""
    return a_trained_model(workspace=workspace, kind=kind, **{"documents_wanted": 4, **changed})


def has_chosen(generation: Generation, retriever: str = "bm25") -> Generation:
    """Let the generation's selector have chosen `retriever`, with `SCORES`."""
    Generation.objects.filter(pk=generation.pk).update(chosen_retriever=retriever, candidate_scores=SCORES)
    generation.refresh_from_db()
    return generation
