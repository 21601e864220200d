"""Trained models that nobody trained, and what selectors are said to have chosen."""

from typing import Any

from retrieval_app.models import TrainedModel
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


def trained(workspace: Workspace | None, kind: str = "rspg-pre", **changed: Any) -> TrainedModel:
    """One of `kind`, for tweets and the base model of `tests.training_app.adapters`; None: it came with Lamppost."""
    is_selector = kind.startswith("rspg")
    values: dict[str, Any] = {
        "workspace": workspace,
        "kind": kind,
        "tasks": [TWEETS],
        "base_model": BASE_MODEL,
        "documents_wanted": 4,
        "pool": POOL if is_selector else [],
        "encoder": None if is_selector else ensure_encoder(name="fine-tuned", revision=kind, dimension=2),
        "initial_model": "small@1",
        "seed": 0,
        "feedback_digest": "f",
        "identity": f"{kind} {TrainedModel.objects.count()}",
        "object_prefix": "" if workspace is None else "trained-models/x/",
        "content_digest": "c",
        "size_bytes": 1,
        "steps": 1,
        "training_seconds": 1.0,
    }
    return TrainedModel.objects.create(**{**values, **changed})


def has_chosen(generation: Generation, retriever: str = "bm25") -> Generation:
    """Let the generation's selector have chosen `retriever`, with `SCORES`."""
    Generation.objects.filter(pk=generation.pk).update(chosen_retriever=retriever, candidate_scores=SCORES)
    generation.refresh_from_db()
    return generation
