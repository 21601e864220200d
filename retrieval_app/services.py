"""Keeping embeddings, and retrieving from one end user's profile."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from jobs.services import JobSpec, enqueue_many
from lamp.queries import document_text
from retrieval_app import selectors
from retrieval_app.bm25 import BM25Cache, BM25Index
from retrieval_app.kinds import EMBED_DOCUMENTS
from retrieval_app.models import Embedding, Encoder
from retrieval_app.ranking import best
from retrieval_app.recency import recency_scores
from retrieval_app.retrievers import BM25, DENSE, RECENCY, TITLES
from users_app.models import Document, EndUser, Workspace
from users_app.tasks import task_of

# Enough that a batch is full, few enough that progress shows and a lost worker loses little.
DOCUMENTS_A_JOB = 512

_bm25_indexes = BM25Cache(max_bytes=settings.BM25_CACHE_BYTES)


class NotEmbedded(LookupError):
    """Some documents of the profile have no vector under the encoder yet."""

    safe_message = True


class Retrieved(NamedTuple):
    """One retrieved document: where it stands in the profile, what it is, and how it scored."""

    position: int
    document: Document
    score: float


def ensure_encoder(*, name: str, revision: str, dimension: int) -> Encoder:
    """Return the encoder `name` at `revision`, recorded if it is new; raises ValueError if its dimension differs."""
    encoder, _ = Encoder.objects.get_or_create(name=name, revision=revision, defaults={"dimension": dimension})
    if encoder.dimension != dimension:
        raise ValueError(f"Encoder {encoder} has {encoder.dimension} dimensions on record, the model has {dimension}.")
    return encoder


def request_embeddings(
    *, workspace: Workspace, task: str, encoder: Encoder, end_users: Sequence[tuple[int, int]], origin: str
) -> set[str]:
    """Ask for the vectors of the (end user id, number of documents) given, a few hundred documents a job.

    Returns the dedupe keys of the jobs that cover them, under way already or not.
    """
    chunks: list[list[int]] = []
    room = 0
    for end_user_id, count in end_users:
        if room <= 0:
            chunks.append([])
            room = DOCUMENTS_A_JOB
        chunks[-1].append(end_user_id)
        room -= count
    specs = [
        JobSpec(
            kind=EMBED_DOCUMENTS.name,
            payload={"encoder_id": encoder.pk, "task": task, "end_user_ids": chunk},
            workspace_id=workspace.pk,
            origin=origin,
            dedupe_key=f"embed:{encoder.pk}:{task}:{digest_of_ids(chunk)}",
        )
        for chunk in chunks
    ]
    enqueue_many(specs)
    return {spec.dedupe_key for spec in specs if spec.dedupe_key is not None}


def digest_of_ids(ids: Sequence[int]) -> str:
    """A short name for an ordered list of ids."""
    return hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()[:32]


def store_embeddings(
    *, end_user: EndUser, encoder: Encoder, documents: Sequence[Document], vectors: NDArray[np.float32]
) -> None:
    """Keep one vector (row of `vectors`, shape documents × dimension) a document. A vector that stands is kept.

    Raises ValueError where the shape does not fit the encoder or a document is another end user's.
    """
    if vectors.shape != (len(documents), encoder.dimension):
        raise ValueError(f"Expected {len(documents)} × {encoder.dimension} numbers, got {vectors.shape}.")
    if any(document.end_user_id != end_user.pk for document in documents):
        raise ValueError("A document of another end user among those to embed.")
    Embedding.objects.bulk_create(
        [
            Embedding(end_user=end_user, document=document, encoder=encoder, dimension=encoder.dimension, vector=vector)
            for document, vector in zip(documents, vectors, strict=True)
        ],
        ignore_conflicts=True,
        batch_size=1000,
    )


def retrieve(
    *,
    workspace: Workspace,
    end_user: EndUser,
    task: str,
    documents: Sequence[Document],
    retriever: str,
    query: str,
    count: int,
    encoder: Encoder | None = None,
    query_vector: NDArray[np.float32] | None = None,
) -> list[Retrieved]:
    """R(query, count) over one profile: the best min(count, n) documents, best first (LaMP reference §3).

    `documents` is the profile in its order, repetitions included. Dense retrievers need `encoder` and the query's
    vector; retrievers that choose among others are none here. Raises `NoDates` for recency without dates,
    `NotEmbedded` where vectors are missing.
    """
    if not documents:
        return []
    if retriever == BM25:
        index = _bm25_index(workspace=workspace, end_user=end_user, task=task, documents=documents)
        scores = index.scores(query)
    elif retriever == RECENCY:
        scores = recency_scores([document.fields.get("date") for document in documents])
    elif retriever in DENSE:
        if encoder is None or query_vector is None:
            raise ValueError(f"Retriever {retriever} needs an encoder and the query's vector.")
        found = selectors.inner_products(
            workspace=workspace,
            end_user=end_user,
            task=task,
            encoder=encoder,
            document_ids=[document.pk for document in documents],
            query_vector=query_vector,
        )
        missing = {document.pk for document in documents} - found.keys()
        if missing:
            raise NotEmbedded(f"{len(missing)} documents of end user {end_user.pk} have no vector under {encoder}.")
        scores = np.array([found[document.pk] for document in documents])
    else:
        raise ValueError(f"There is no retriever “{retriever}”; there are {', '.join(TITLES)}.")
    return [Retrieved(one.position, documents[one.position], one.score) for one in best(scores, count)]


def _bm25_index(*, workspace: Workspace, end_user: EndUser, task: str, documents: Sequence[Document]) -> BM25Index:
    # Neither documents nor what is read of them change, so the end user and the ordered ids name the index for ever.
    key = (end_user.pk, task, tuple(document.pk for document in documents))
    index = _bm25_indexes.get(key)
    if index is None:
        form = task_of(workspace=workspace, key=task)
        index = BM25Index([document_text(form, document.fields) for document in documents])
        _bm25_indexes.put(key, index)
    return index


def forget_gone_indexes() -> None:
    """Let go of the indexes in this process of which a document, or the end user, is gone."""
    keys = [key for key in _bm25_indexes.by_use() if isinstance(key, tuple)]
    standing = set(Document.objects.filter(pk__in={pk for *_, ids in keys for pk in ids}).values_list("pk", flat=True))
    for key in keys:
        if not standing.issuperset(key[-1]):
            _bm25_indexes.discard(key)
