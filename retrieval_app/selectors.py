"""Reads of embeddings, always of one end user."""

from collections.abc import Sequence

import numpy as np
from django.db.models import Count, QuerySet
from numpy.typing import NDArray
from pgvector.django import MaxInnerProduct

from retrieval_app.models import Embedding, Encoder
from users_app.models import Document, EndUser, Workspace


def unembedded_documents(*, workspace: Workspace, end_user: EndUser, task: str, encoder: Encoder) -> QuerySet[Document]:
    """Documents of one end user and task that `encoder` has not read yet."""
    return (
        Document.objects.filter(end_user=end_user, end_user__workspace=workspace, task=task)
        .exclude(embeddings__encoder=encoder)
        .order_by("id")
    )


def end_users_to_embed(
    *, workspace: Workspace, end_user_ids: Sequence[int], task: str, encoder: Encoder
) -> list[tuple[int, int]]:
    """(end user id, number of documents without a vector under `encoder`) of those among `end_user_ids` who have any.

    Says only whose documents wait and how many, never what is in them.
    """
    waiting = (
        Document.objects.filter(end_user__in=end_user_ids, end_user__workspace=workspace, task=task)
        .exclude(embeddings__encoder=encoder)
        .values_list("end_user_id")
        .annotate(count=Count("id"))
        .order_by("end_user_id")
    )
    return list(waiting)


def inner_products(
    *,
    workspace: Workspace,
    end_user: EndUser,
    task: str,
    encoder: Encoder,
    document_ids: Sequence[int],
    query_vector: NDArray[np.float32],
) -> dict[int, float]:
    """Dot product of the query with each of the end user's documents, by document id: an exact scan, no index.

    A document without a vector under this encoder is missing from the answer; the caller decides what that means.
    """
    rows = (
        Embedding.objects.filter(
            end_user=end_user,
            end_user__workspace=workspace,
            encoder=encoder,
            document__task=task,
            document_id__in=set(document_ids),
        )
        .annotate(negative=MaxInnerProduct("vector", query_vector))
        .values_list("document_id", "negative")
    )
    return {document_id: -negative for document_id, negative in rows}
