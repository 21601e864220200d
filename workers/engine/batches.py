"""From training pairs to padded micro-batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workers.engine.seeds import stream

# What one more forward and backward pass costs, counted in padded tokens of the same model (measured on the small
# model on a CPU thread). It decides how far an effective batch is split to save padding.
PASS_COST_TOKENS = 128
# The most padded tokens in one pass: sixteen rows at the paper's limits.
MAX_PASS_TOKENS = 16 * (512 + 128)


@dataclass(frozen=True)
class TokenPair:
    """One training pair as token ids, the end token included."""

    source: tuple[int, ...]
    target: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """Rows of one forward and backward pass, padded to their own longest.

    `rows` are their places in the effective batch; `at_target` marks the decoder positions that count, row by row,
    and `targets` are the token ids there.
    """

    rows: tuple[int, ...]
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

    Rows are sorted by length and cut into runs (dynamic programming over the cuts): a run costs its rows times its
    longest input and output, plus `pass_cost`. A run of more than `max_tokens` padded tokens is only taken where a
    single row is that long.
    """
    order = sorted(range(len(batch)), key=lambda place: (len(batch[place].source), len(batch[place].target), place))
    best: list[tuple[int, int]] = [(0, 0)]  # cheapest cost of the first n rows, and where its last run starts
    for end in range(1, len(order) + 1):
        choice: tuple[int, int] | None = None
        longest_target = 0
        longest_source = len(batch[order[end - 1]].source)
        for start in range(end - 1, -1, -1):
            longest_target = max(longest_target, len(batch[order[start]].target))
            tokens = (end - start) * (longest_source + longest_target)
            if tokens > max_tokens and end - start > 1:
                break
            cost = best[start][0] + tokens + pass_cost
            if choice is None or cost < choice[0]:
                choice = (cost, start)
        if choice is None:
            raise AssertionError("a run of one row is always possible")
        best.append(choice)
    runs: list[list[int]] = []
    end = len(order)
    while end:
        start = best[end][1]
        runs.append(order[start:end])
        end = start
    return runs[::-1]


def micro_batch(
    batch: Sequence[TokenPair], rows: Sequence[int], *, pad: int, start: int, device: torch.device
) -> MicroBatch:
    """Pad the given rows of an effective batch. `start` is the decoder's first token."""
    chosen = [batch[row] for row in rows]
    input_ids, attention_mask = padded([pair.source for pair in chosen], pad=pad)
    decoder_input_ids, _ = padded([(start, *pair.target[:-1]) for pair in chosen], pad=pad)
    _, at_target = padded([pair.target for pair in chosen], pad=pad)
    return MicroBatch(
        rows=tuple(rows),
        input_ids=input_ids.to(device),
        attention_mask=attention_mask.to(device),
        decoder_input_ids=decoder_input_ids.to(device),
        at_target=at_target.bool().to(device),
        targets=torch.tensor([token for pair in chosen for token in pair.target], device=device),
    )


def padded(sequences: Sequence[Sequence[int]], *, pad: int) -> tuple[Tensor, Tensor]:
    """Ids padded on the right to the longest, and the mask (1 = a token), both [rows, length]."""
    longest = max(len(sequence) for sequence in sequences)
    ids = torch.tensor([[*sequence, *[pad] * (longest - len(sequence))] for sequence in sequences])
    mask = torch.tensor([[1] * len(sequence) + [0] * (longest - len(sequence)) for sequence in sequences])
    return ids, mask
