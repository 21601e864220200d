"""Retraining policies for tests, and adapters as they would have been trained."""

import secrets
from typing import Any

from tests.people import TWEETS
from tests.training_app.adapters import a_base_model, facts, plan_of
from training_app.adapter_selectors import profile_to_learn_from
from training_app.adapters import record_adapter
from training_app.models import Adapter, RetrainingPolicy
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
