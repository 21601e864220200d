"""Counting what a split's training costs: its users' pairs, in tokens, as a run would train on them."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from transformers import AutoTokenizer
from transformers.utils import cached_file

from eval_app.models import DatasetSplit
from eval_app.selectors import split_training_documents
from lamp.catalogue import get_task
from lamp.pairs import pair_of
from lamp.tasks import Task
from training_app.costs.lengths import TrainingWork, work_of_user
from training_app.costs.shapes import PUBLISHED, ModelShape, shape_from_config
from users_app.models import Workspace
from users_app.selectors import documents_of, end_user_by_id
from workers.engine.batches import token_ids
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.sources import ModelRefused, fetch, settle
from workers.model_names import base_model_source

_CONFIG = "config.json"


class TokenCounter(Protocol):
    """Turns texts into lengths in tokens; `description` says how, in words."""

    @property
    def description(self) -> str: ...

    def lengths(self, texts: Sequence[str], *, limit: int) -> list[int]:
        """Tokens of each text, its end token included, at most `limit`."""
        ...


@dataclass(frozen=True)
class ModelTokens:
    """Counts with a model's tokenizer."""

    tokenizer: Any
    name: str

    @property
    def description(self) -> str:
        return f"counted by the tokenizer of {self.name}"

    def lengths(self, texts: Sequence[str], *, limit: int) -> list[int]:
        return [len(ids) for ids in token_ids(self.tokenizer, texts, limit=limit)]


@dataclass(frozen=True)
class WordTokens:
    """Counts words, where the tokenizer of the model `name` is not on this machine."""

    tokens_per_word: float
    name: str

    @property
    def description(self) -> str:
        return (
            f"{self.tokens_per_word:g} a word between blanks, as the tokenizer of {self.name} is not on this machine "
            "(--tokenizer names one)"
        )

    def lengths(self, texts: Sequence[str], *, limit: int) -> list[int]:
        return [min(limit, math.ceil(len(text.split()) * self.tokens_per_word) + 1) for text in texts]


def shape_of(name: str) -> ModelShape:
    """The shape of the base model `name`; of FlanT5 it is known, of others the configuration alone is read.

    Raises `ModelUnavailable`, `ModelRefused` or `UnknownShape`.
    """
    source = base_model_source(name)
    if source.name in PUBLISHED:
        return PUBLISHED[source.name]
    settled = settle(source.location, revision=source.revision)
    if settled.in_folder:
        path = Path(settled.name_or_path) / _CONFIG
    else:
        path = fetch(
            lambda: Path(str(cached_file(settled.name_or_path, _CONFIG, revision=settled.revision))),
            name_or_path=settled.name_or_path,
            revision=settled.revision,
        )
    try:
        config = json.loads(path.read_bytes())
    except ValueError:
        raise ModelRefused(f"The {_CONFIG} of {name} is no JSON.") from None
    return shape_from_config(config)


def token_counter(*, base_model: str, tokenizer: str | None, tokens_per_word: float) -> TokenCounter:
    """What counts tokens: the `tokenizer` named, else the base model's own if it is on this machine, else words.

    Raises `ModelUnavailable` or `ModelRefused` where the tokenizer that was named cannot be loaded.
    """
    source = base_model_source(tokenizer or base_model)
    if tokenizer is not None or Path(source.location).is_dir():
        settled = settle(source.location, revision=source.revision)
        return ModelTokens(settled.load(AutoTokenizer.from_pretrained), source.name)
    try:
        found = AutoTokenizer.from_pretrained(
            source.location, revision=source.revision, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError):
        return WordTokens(tokens_per_word, source.name)
    return ModelTokens(found, source.name)


def training_work(
    *,
    workspace: Workspace,
    splits: Mapping[str, DatasetSplit],
    counter: TokenCounter,
    hyperparameters: Hyperparameters,
    user_limit: int | None = None,
) -> Iterator[tuple[str, TrainingWork]]:
    """(task, work of one user) for every user of the splits who has something to learn from; reads and writes nothing.

    One user's documents are in memory at a time.
    """
    for key, split in splits.items():
        task = get_task(key)
        users = split_training_documents(workspace=workspace, split=split, user_limit=user_limit)
        for end_user_id, documents in users:
            ids = [document_id for document_id, _ in documents]
            lengths = _pair_lengths(
                workspace=workspace,
                end_user_id=end_user_id,
                task=task,
                document_ids=ids,
                counter=counter,
                hyperparameters=hyperparameters,
            )
            if lengths:
                yield (
                    key,
                    work_of_user(lengths, epochs=hyperparameters.epochs, batch_size=hyperparameters.batch_size),
                )


def _pair_lengths(
    *,
    workspace: Workspace,
    end_user_id: int,
    task: Task,
    document_ids: Sequence[int],
    counter: TokenCounter,
    hyperparameters: Hyperparameters,
) -> list[tuple[int, int]]:
    """Lengths of the user's training pairs; documents erased meanwhile are not among them."""
    end_user = end_user_by_id(workspace=workspace, end_user_id=end_user_id)
    if end_user is None:
        return []
    own = documents_of(workspace=workspace, end_user=end_user, task=task.key)
    found = own.only("fields").in_bulk(list(set(document_ids)))
    pairs = [pair_of(task, found[document_id].fields) for document_id in document_ids if document_id in found]
    if not pairs:
        return []
    sources = counter.lengths([pair.input for pair in pairs], limit=hyperparameters.max_input_tokens)
    targets = counter.lengths([pair.output for pair in pairs], limit=hyperparameters.max_output_tokens)
    return list(zip(sources, targets, strict=True))
