"""Vectors without a model, for the tests of what is done with them."""

import numpy as np
from numpy.typing import NDArray

from retrieval_app.models import Encoder
from retrieval_app.services import ensure_encoder, store_embeddings
from users_app.models import Document, EndUser

DIMENSION = 16


def an_encoder(*, revision: str = "1", dimension: int = DIMENSION) -> Encoder:
    return ensure_encoder(name="some/encoder", revision=revision, dimension=dimension)


def vectors(count: int, *, seed: int = 0, dimension: int = DIMENSION) -> NDArray[np.float32]:
    """`count` rows that look like an encoder's."""
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)


def embed(end_user: EndUser, documents: list[Document], encoder: Encoder, *, seed: int = 0) -> NDArray[np.float32]:
    """Give each document a vector; the vectors."""
    made = vectors(len(documents), seed=seed, dimension=encoder.dimension)
    store_embeddings(end_user=end_user, encoder=encoder, documents=documents, vectors=made)
    return made
