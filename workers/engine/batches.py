"""From training pairs to padded micro-batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.engine.seeds import stream

# What one more forward and backward pass costs, counted in padded tokens of the same model (measured on the small
# model on a CPU thread). It decides how far an effective batch is split to save padding.
PASS_COST_TOKENS = 192
# The most padded tokens in one pass: sixteen rows at the paper's limits.
MAX_PASS_TOKENS = 16 * (512 + 128)
_IMPOSSIBLE = np.iinfo(np.int64).max


@dataclass(frozen=True)
class TokenPair:
    """One training pair as token ids, the end token included."""

    source: tuple[int, ...]
    target: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """Rows of one forward and backward pass, padded to their own longest.

    `at_target` are the decoder positions that count, as places in rows × longest target, row by row; `targets` are
    the token ids there.
    """

    input_ids: Tensor
    attention_mask: Tensor
    decoder_input_ids: Tensor
    at_target: Tensor
    targets: Tensor


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


def split_by_length(
    batch: Sequence[TokenPair], *, max_tokens: int = MAX_PASS_TOKENS, pass_cost: int = PASS_COST_TOKENS
) -> list[list[int]]:
    """Places of `batch` grouped into passes so that padding plus passes cost least.

    Rows are sorted by the length of their inputs or of their outputs, whichever serves better, and cut into runs: a
    run costs its rows times its longest input and output, plus `pass_cost`. A run of more than `max_tokens` padded
    tokens is only taken where a single row is that long.
    """
    lengths = np.array([(len(pair.source), len(pair.target)) for pair in batch])
    orders = [np.lexsort((lengths[:, 1], lengths[:, 0])), np.lexsort((lengths[:, 0], lengths[:, 1]))]
    cuts = [_cheapest_cuts(lengths[order], max_tokens=max_tokens, pass_cost=pass_cost) for order in orders]
    best = 0 if cuts[0][0] <= cuts[1][0] else 1
    order, ends = orders[best].tolist(), cuts[best][1]
    return [order[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _cheapest_cuts(lengths: NDArray[np.int64], *, max_tokens: int, pass_cost: int) -> tuple[int, list[int]]:
    """What the best cuts of rows in this order cost, and where each run ends (dynamic programming over the ends)."""
    sources, targets = lengths[:, 0], lengths[:, 1]
    cost = np.zeros(len(lengths) + 1, dtype=np.int64)  # of the first n rows ...
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)  # ... and where their last run starts
    for end in range(1, len(lengths) + 1):
        # Neither input nor output gets shorter by adding rows, so a run of this row holds at most so many.
        first = max(0, end - max(1, max_tokens // int(lengths[end - 1].sum())))
        longest_source = np.maximum.accumulate(sources[first:end][::-1])[::-1]
        longest_target = np.maximum.accumulate(targets[first:end][::-1])[::-1]
        tokens = np.arange(end - first, 0, -1) * (longest_source + longest_target)
        costs = cost[first:end] + tokens + pass_cost
        costs[:-1][tokens[:-1] > max_tokens] = _IMPOSSIBLE
        start = int(costs.argmin())
        cost[end], starts[end] = costs[start], first + start
    ends = []
    end = len(lengths)
    while end:
        ends.append(end)
        end = int(starts[end])
    return int(cost[-1]), ends[::-1]


def micro_batch(pairs: Sequence[TokenPair], *, pad: int, start: int, device: torch.device) -> MicroBatch:
    """Pad pairs to a micro-batch. `start` is the decoder's first token."""
    input_ids, attention_mask = padded([pair.source for pair in pairs], pad=pad)
    decoder_input_ids, _ = padded([(start, *pair.target[:-1]) for pair in pairs], pad=pad)
    longest = decoder_input_ids.shape[1]
    at_target = [row * longest + place for row, pair in enumerate(pairs) for place in range(len(pair.target))]
    return MicroBatch(
        input_ids=input_ids.to(device),
        attention_mask=attention_mask.to(device),
        decoder_input_ids=decoder_input_ids.to(device),
        at_target=torch.tensor(at_target, device=device),
        targets=torch.tensor([token for pair in pairs for token in pair.target], device=device),
    )


def padded(sequences: Sequence[Sequence[int]], *, pad: int) -> tuple[Tensor, Tensor]:
    """Ids padded on the right to the longest, and the mask (1 = a token), both [rows, length]."""
    longest = max(len(sequence) for sequence in sequences)
    ids = torch.tensor([[*sequence, *[pad] * (longest - len(sequence))] for sequence in sequences])
    mask = torch.tensor([[1] * len(sequence) + [0] * (longest - len(sequence)) for sequence in sequences])
    return ids, mask
