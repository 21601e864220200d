"""Asking for adapters and outputs, of the small models and the tweets of `tests.people`."""

from collections.abc import Sequence
from typing import Any

from lamp.catalogue import get_task
from tests.eval_app.stored import HYPERPARAMETERS, PARAMETERS, small_t5
from tests.people import ASK, TWEETS, tweets_of
from training_app.adapters import AdapterPlan, plan_adapter, request_adapters, stored_dtype_of
from training_app.generations import request_generations
from training_app.models import Adapter, Generation
from users_app.models import Document, EndUser

# Enough that the small model answers otherwise than without.
TAUGHT = {"rank": 8, "epochs": 12, "learning_rate": 3e-2, "max_output_tokens": 32}


def plan(
    end_user: EndUser,
    documents: Sequence[Document] | None = None,
    *,
    exact: bool = False,
    stored_dtype: str | None = None,
    **changed: Any,
) -> AdapterPlan:
    documents = tweets_of(end_user) if documents is None else documents
    return plan_adapter(
        workspace=end_user.workspace,
        end_user_id=end_user.pk,
        task=get_task(TWEETS).key,
        base_model=small_t5(),
        dtype="float32",
        exact=exact,
        stored_dtype=stored_dtype or stored_dtype_of(exact=exact),
        hyperparameters={**HYPERPARAMETERS, "rank": 8, **changed},
        seed=0,
        documents=[(document.pk, bytes(document.digest).hex()) for document in documents],
    )


def ask_for_adapter(end_user: EndUser, **changed: Any) -> str:
    """Ask for the adapter of all of a user's tweets; its identity."""
    wanted = plan(end_user, **changed)
    request_adapters(plans=[wanted])
    return wanted.identity


def ask(end_user: EndUser, text: str = "roses and rain in my garden", **fields: Any) -> Generation:
    """Ask for an output, by the base model alone unless told otherwise; the stored generation."""
    parameters = {**PARAMETERS, **fields.pop("parameters", {})}
    adapter: Adapter | None = fields.get("adapter")
    retriever = fields.get("retriever", "")
    family = "-".join(part for part in ("peft" if adapter else "", "rag" if retriever else "") if part) or "none"
    generation = Generation(
        **{
            "end_user": end_user,
            "task": TWEETS,
            "base_model": small_t5(),
            "family": family,
            "documents_wanted": 2 if retriever else 0,
            "parameters": parameters,
            "input": ASK + text,
            "profile_document_ids": [document.pk for document in tweets_of(end_user)],
            **fields,
        }
    )
    request_generations(workspace_id=end_user.workspace_id, generations=[generation], origin="")
    return Generation.objects.latest("pk")
