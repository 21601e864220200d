"""Selectors and fine-tuned encoders on record that nobody loads."""

from typing import Any

from retrieval_app.models import TrainedModel
from tests.retrieval_app.trained import POOL, WITH_RECENCY, a_trained_model
from users_app.models import Workspace

__all__ = ["DENSE_POOL", "POOL", "WITH_RECENCY", "unloaded"]

DENSE_POOL = [
    {"retriever": "none"},
    {"retriever": "contriever", "encoder": "some/encoder", "encoder_revision": "1"},
    {"retriever": "ropg-kd", "encoder": "some/encoder", "encoder_revision": "2"},
]


def unloaded(workspace: Workspace | None, kind: str = "rspg-pre", **changed: Any) -> TrainedModel:
    """One of `kind` for tweets and the base model of `tests.eval_app.stored`; None: it came with Lamppost."""
    return a_trained_model(workspace=workspace, kind=kind, **changed)
