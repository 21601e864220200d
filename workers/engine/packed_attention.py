"""T5's attention over packed rows: groups of rows of similar length, padded for it alone."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from workers.engine.packing import GroupLimits, PackedPairs, Padding, similar_rows

# On a CPU a group's scores had better stay in the cache. On a GPU one more group is some dozens of kernels to start.
_CPU_LIMITS = GroupLimits(tokens=768, padding=96)
_GPU_LIMITS = GroupLimits(tokens=1 << 62, padding=1024)
# Of fewer values torch takes the softmax one by one on a CPU, ten times as slowly.
_SHORTEST_ON_CPU = 16
# Up to so many queries plain products are faster on a CPU than the fused kernel: 1.5 times at 20, equal at about 50.
PLAIN_QUERIES = 48


class AttentionLayout:
    """How the rows of a pass attend, on one device: the same in every layer.

    `source_bias`, `target_bias` and `cross_bias` are added to the scores of each group: T5's relative positions, and
    the least number where a place may not be seen.
    """

    def __init__(self, model: Any, part: PackedPairs, *, device: torch.device) -> None:
        cpu = device.type == "cpu"
        limits, shortest = (_CPU_LIMITS, _SHORTEST_ON_CPU) if cpu else (_GPU_LIMITS, 1)
        by_source = similar_rows(part.source_lengths, limits=limits)
        by_target = similar_rows(part.target_lengths, part.source_lengths, limits=limits)

        def padding(lengths: Sequence[int], groups: Sequence[Sequence[int]]) -> Padding:
            return Padding(lengths, groups, heads=model.config.num_heads, shortest=shortest, device=device)

        self.sources = padding(part.source_lengths, by_source)
        self.targets = padding(part.target_lengths, by_target)
        self.attended = padding(part.source_lengths, by_target)
        self.source_bias: list[Tensor] = [
            bias if mask is None else _hidden(bias, ~mask[:, None, None, :])
            for bias, mask in zip(_positions(model.encoder, self.sources, device), self.sources.masks, strict=True)
        ]
        # Padding comes last, so whoever may look back only sees none.
        self.target_bias: list[Tensor] = [
            _hidden(bias, torch.ones_like(bias, dtype=torch.bool).triu(1))
            for bias in _positions(model.decoder, self.targets, device)
        ]
        nothing = torch.zeros((), dtype=model.dtype, device=device)
        self.cross_bias: list[Tensor | None] = [
            None if mask is None else _hidden(nothing, ~mask[:, None, None, :]) for mask in self.attended.masks
        ]


def _positions(stack: Any, padding: Padding, device: torch.device) -> list[Tensor]:
    """Each group's relative position bias, [1, heads, length, length]."""
    longest = max(length for _, length in padding.shapes)
    bias: Tensor = stack.block[0].layer[0].SelfAttention.compute_bias(longest, longest).to(device)
    return [bias[:, :, :length, :length].contiguous() for _, length in padding.shapes]


def _hidden(bias: Tensor, where: Tensor) -> Tensor:
    return bias.masked_fill(where, torch.finfo(bias.dtype).min)


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    of_queries: Padding,
    of_keys: Padding,
    biases: Sequence[Tensor | None],
) -> Tensor:
    """What each packed query takes from its own row's values, [tokens, heads × features a head]; nothing is scaled."""
    groups = zip(of_queries.unpack(queries), of_keys.unpack(keys), of_keys.unpack(values), biases, strict=True)
    return of_queries.pack([_attend(*group) for group in groups])


def _attend(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
    if queries.device.type == "cpu" and queries.shape[2] <= PLAIN_QUERIES:
        mixed: Tensor = _PlainAttention.apply(queries, keys, values, bias)
        return mixed
    return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=1.0)


class _PlainAttention(torch.autograd.Function):
    """softmax(queries · keysᵀ + bias) · values, by products; the bias gets no gradient."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
        q, k, v = queries.flatten(0, 1), keys.flatten(0, 1), values.flatten(0, 1)
        scores = torch.bmm(q, k.transpose(1, 2))
        if bias is not None:
            scores.unflatten(0, queries.shape[:2]).add_(bias)
        weights = scores.softmax(dim=-1)
        ctx.save_for_backward(q, k, v, weights)
        return torch.bmm(weights, v).view_as(queries)

    @staticmethod
    def backward(ctx: Any, *of_outputs: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, weights = ctx.saved_tensors
        gradient = of_outputs[0].flatten(0, 1)
        of_v = torch.bmm(weights.transpose(1, 2), gradient)
        of_weights = torch.bmm(gradient, v.transpose(1, 2))
        of_scores = torch.ops.aten._softmax_backward_data(of_weights, weights, -1, weights.dtype)
        of_q, of_k = torch.bmm(of_scores, k), torch.bmm(of_scores.transpose(1, 2), q)
        by_row = of_outputs[0].shape[:2]
        return of_q.unflatten(0, by_row), of_k.unflatten(0, by_row), of_v.unflatten(0, by_row), None
