"""Retraining policies for tests, and adapters as they would have been trained."""

import secrets
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from tests.people import TWEETS
from tests.training_app.adapters import a_base_model, facts, plan_of
from training_app.adapter_selectors import profile_to_learn_from
from training_app.adapters import record_adapter
from training_app.models import Adapter, Retraining, RetrainingPolicy
from training_app.retraining.sweeps import retraining_ended
from users_app.models import Document, EndUser, Workspace


def a_policy(workspace: Workspace, **told: Any) -> RetrainingPolicy:
    """A policy that trains whoever has two documents, and again after two new ones, unless told otherwise."""
    rules = {"name": "nightly", "task": TWEETS, "base_model": a_base_model(), "new_documents": 2} | told
    return RetrainingPolicy.objects.create(workspace=workspace, **{"minimum_documents": 2, **rules})


def trained(end_user: EndUser, **hyperparameters: Any) -> Adapter:
    """The adapter that the live profile makes."""
    ids = [pk for pk, _ in profile_to_learn_from(workspace=end_user.workspace, end_user=end_user, task=TWEETS)]
    documents = Document.objects.filter(end_user=end_user).in_bulk(ids)
    plan = plan_of(end_user, [documents[pk] for pk in ids], **hyperparameters)
    return record_adapter(end_user=end_user, plan=plan, facts=facts(secrets.token_hex(8)))


def ends_as(state: str, *, seconds: float = 0.0, at_once: bool = True) -> Callable[..., None]:
    """A way to begin a retraining that ends it in `state` at once, or leaves it in its trial."""

    def begin(*, retraining_id: int) -> None:
        Retraining.objects.filter(pk=retraining_id).update(state="trial", started_at=Now())
        if at_once:
            end(retraining_id, state, seconds=seconds)

    return begin


def end(retraining_id: int, state: str = "promoted", *, seconds: float = 0.0) -> None:
    """Let a retraining come to its end, as whoever trains and measures does."""
    retraining = Retraining.objects.get(pk=retraining_id)
    with transaction.atomic():
        Retraining.objects.filter(pk=retraining_id).update(
            state=state, reason="as the test says", training_seconds=seconds, finished_at=Now()
        )
        if state != "failed":
            trained(retraining.end_user, rank=retraining.rank)
        retraining_ended(sweep_id=retraining.sweep_id)
