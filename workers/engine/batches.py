"""From training pairs to optimizer steps and passes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workers.engine.seeds import stream

# The most tokens in one pass: sixteen rows at the paper's limits.
MAX_PASS_TOKENS = 16 * (512 + 128)


@dataclass(frozen=True)
class TokenPair:
    """One training pair as token ids, the end token included."""

    source: tuple[int, ...]
    target: tuple[int, ...]


def tokenize_pairs(
    tokenizer: Any, pairs: Sequence[tuple[str, str]], *, max_input_tokens: int, max_output_tokens: int
) -> list[TokenPair]:
    """Each pair once, inputs and outputs cut to their limits (the end token stays)."""
    sources = token_ids(tokenizer, [source for source, _ in pairs], limit=max_input_tokens)
    targets = token_ids(tokenizer, [target for _, target in pairs], limit=max_output_tokens)
    return [TokenPair(tuple(source), tuple(target)) for source, target in zip(sources, targets, strict=True)]


def token_ids(tokenizer: Any, texts: Sequence[str], *, limit: int) -> list[list[int]]:
    """Token ids of each text, the end token included, at most `limit` of them."""
    ids: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=limit, padding=False)["input_ids"]
    return ids


def epoch_order(count: int, *, seed: int, epoch: int) -> list[int]:
    """The order of an epoch's pairs: the adapter's own, whatever ran before."""
    order: list[int] = torch.randperm(count, generator=stream(seed, "shuffle", epoch)).tolist()
    return order


def effective_batches(count: int, *, size: int, seed: int, epoch: int) -> Iterator[list[int]]:
    """Indices of the pairs of each optimizer step of an epoch; the last may be smaller."""
    order = epoch_order(count, seed=seed, epoch=epoch)
    for start in range(0, count, size):
        yield order[start : start + size]


def split_by_tokens(batch: Sequence[TokenPair], *, max_tokens: int) -> list[list[int]]:
    """Places of `batch`, in its order, cut into passes of at most `max_tokens` tokens; a longer row is one alone."""
    passes: list[list[int]] = []
    tokens = max_tokens
    for place, pair in enumerate(batch):
        size = len(pair.source) + len(pair.target)
        if tokens + size > max_tokens:
            passes.append([])
            tokens = 0
        passes[-1].append(place)
        tokens += size
    return passes


def padded(sequences: Sequence[Sequence[int]], *, pad: int) -> tuple[Tensor, Tensor]:
    """Ids padded on the right to the longest, and the mask (1 = a token), both [rows, length]."""
    longest = max(len(sequence) for sequence in sequences)
    ids = torch.tensor([[*sequence, *[pad] * (longest - len(sequence))] for sequence in sequences])
    mask = torch.tensor([[1] * len(sequence) + [0] * (longest - len(sequence)) for sequence in sequences])
    return ids, mask
