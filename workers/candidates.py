"""What a generation is answered with: documents of the user's profile, and the prompt that quotes them.

Where a selector chooses the retriever there is a candidate for each member of its pool, made exactly as if that
retriever had been asked for alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.batches import Permanent
from lamp.catalogue import UnknownTask
from lamp.queries import query_of
from lamp.tasks import Task
from retrieval_app.models import Encoder
from retrieval_app.pools import PoolRefused, encoders_of_pool, read_pool
from retrieval_app.prompts import build_prompt
from retrieval_app.retrievers import DENSE, NOTHING
from retrieval_app.services import NotEmbedded, Retrieved, retrieve
from training_app.models import Generation
from users_app.models import Document
from users_app.selectors import UnknownDocuments, documents_of, snapshot_documents
from users_app.tasks import task_of, task_version_of
from workers import loaded
from workers.embedding import embed_missing
from workers.engine.base_model import BaseModel
from workers.engine.encoder import encode


@dataclass(frozen=True)
class Candidate:
    """One way to answer: the retriever (`NOTHING`: none), what it retrieved, best first, and the prompt made of it."""

    retriever: str
    retrieved: Sequence[Retrieved] = field(repr=False)
    prompt: str = field(repr=False)


class _Means(NamedTuple):
    """A retriever with its encoder, where it has one."""

    retriever: str
    encoder: Encoder | None = None


def candidates_of(generation: Generation, *, base: BaseModel) -> list[Candidate]:
    """The candidates of `generation`, in the order of its selector's pool; without a selector there is one.

    Raises what retrieval raises (`NoDates` for one), and `Permanent` where the task or the pool is not known here.
    """
    if not generation.retriever:
        return [Candidate(NOTHING, (), generation.input)]
    asked = _Asked(generation, base)
    return [asked.candidate(means) for means in _all_means(generation)]


def _all_means(generation: Generation) -> list[_Means]:
    selector = generation.selector
    if selector is None:
        return [_Means(generation.retriever, generation.encoder)]
    if selector.workspace_id not in (None, generation.end_user.workspace_id):
        # It was trained on other people's data, who are nothing to these.
        raise Permanent(f"{selector.get_kind_display()} {selector.pk} is another workspace's.")
    try:
        members = read_pool(selector.pool)
        encoders = encoders_of_pool(members)
    except PoolRefused as problem:
        raise Permanent(f"{selector.get_kind_display()} {selector.pk} cannot be used: {problem}") from None
    return [_Means(member.retriever, encoders.get(member.retriever)) for member in members]


class _Asked:
    """A generation with what all of its candidates share, each read at most once."""

    def __init__(self, generation: Generation, base: BaseModel) -> None:
        self._generation = generation
        self._base = base

    def candidate(self, means: _Means) -> Candidate:
        generation = self._generation
        retrieved = [] if means.retriever == NOTHING else self._retrieve(means)
        prompt = generation.input
        if retrieved:
            prompt = build_prompt(
                self._task,
                generation.input,
                [one.document.fields for one in retrieved],
                tokenizer=self._base.tokenizer,
                max_input_tokens=generation.parameters["max_input_tokens"],
            )
        return Candidate(means.retriever, retrieved, prompt)

    @cached_property
    def _task(self) -> Task:
        generation = self._generation
        workspace, key = generation.end_user.workspace, generation.task
        try:
            if generation.task_version:
                return task_version_of(workspace=workspace, key=key, version=generation.task_version)
            return task_of(workspace=workspace, key=key)
        except UnknownTask:
            raise Permanent("This worker's task catalogue is not the one this was asked from: update it.") from None

    @cached_property
    def _query(self) -> str:
        return query_of(self._task, self._generation.input)

    @cached_property
    def _documents(self) -> list[Document]:
        """The profile as of the question. What has been deleted since is missing where a client asked."""
        generation = self._generation
        end_user, ids = generation.end_user, generation.profile_document_ids
        try:
            return snapshot_documents(
                workspace=end_user.workspace, end_user=end_user, task=generation.task, document_ids=ids
            )
        except UnknownDocuments:
            if not generation.asked_method:
                raise
        left = documents_of(workspace=end_user.workspace, end_user=end_user, task=generation.task).in_bulk(ids)
        return [left[document_id] for document_id in ids if document_id in left]

    def _retrieve(self, means: _Means) -> list[Retrieved]:
        vector = self._query_vector(means)
        try:
            return self._best(means, vector)
        except NotEmbedded:
            assert means.encoder is not None
            # Documents that came a moment ago: the job that embeds them may not have run yet.
            among = {document.pk for document in self._documents}
            embed_missing(end_user=self._generation.end_user, task=self._task, encoder=means.encoder, among=among)
            return self._best(means, vector)

    def _best(self, means: _Means, vector: NDArray[np.float32] | None) -> list[Retrieved]:
        end_user = self._generation.end_user
        return retrieve(
            workspace=end_user.workspace,
            end_user=end_user,
            task=self._task.key,
            documents=self._documents,
            retriever=means.retriever,
            query=self._query,
            count=self._generation.documents_wanted,
            encoder=means.encoder,
            query_vector=vector,
        )

    def _query_vector(self, means: _Means) -> NDArray[np.float32] | None:
        if means.retriever not in DENSE or means.encoder is None:
            return None
        # One query a pass: a user's vector must not depend on who else is asking.
        vector: NDArray[np.float32] = encode(loaded.encoder(means.encoder), [self._query])[0]
        return vector
