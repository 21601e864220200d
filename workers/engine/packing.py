"""The pairs of one pass laid end to end without padding, and the padded groups that attention alone works on.

Everything else in a transformer treats each token by itself, so a pass computes nothing for padding. Attention takes
rows of similar length together; where they lie there is worked out once a pass and serves every layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.engine.batches import TokenPair


@dataclass(frozen=True, eq=False)
class PackedPairs:
    """Rows of one forward and backward pass; the tensors are token ids, [tokens], row after row.

    `decoder_inputs` is what the decoder reads: a row's start token, then all of its targets but the last.
    """

    sources: Tensor
    decoder_inputs: Tensor
    targets: Tensor
    source_lengths: tuple[int, ...]
    target_lengths: tuple[int, ...]


def pack_pairs(pairs: Sequence[TokenPair], *, start: int, device: torch.device) -> PackedPairs:
    """Lay pairs end to end. `start` is the decoder's first token."""
    return PackedPairs(
        sources=torch.tensor([token for pair in pairs for token in pair.source], device=device),
        decoder_inputs=torch.tensor([token for pair in pairs for token in (start, *pair.target[:-1])], device=device),
        targets=torch.tensor([token for pair in pairs for token in pair.target], device=device),
        source_lengths=tuple(len(pair.source) for pair in pairs),
        target_lengths=tuple(len(pair.target) for pair in pairs),
    )


@dataclass(frozen=True)
class GroupLimits:
    """A group holds at most `tokens` padded tokens, of which at most `padding` are none; a single row is always one."""

    tokens: int
    padding: int


def similar_rows(*lengths: Sequence[int], limits: GroupLimits) -> list[list[int]]:
    """Every row in one group of rows of similar length. `lengths` says how long each is, in one respect or in several.

    Rows are sorted by the first respect, then by the next, and cut where the limits are reached.
    """
    groups: list[list[int]] = []
    tokens, longest = 0, [0] * len(lengths)
    for row in np.lexsort(lengths[::-1]).tolist():
        of_row = [respect[row] for respect in lengths]
        longest = [max(pair) for pair in zip(longest, of_row, strict=True)]
        tokens += sum(of_row)
        padded = (len(groups[-1]) + 1) * sum(longest) if groups else limits.tokens + 1
        if padded > limits.tokens or padded - tokens > limits.padding:
            groups.append([])
            tokens, longest = sum(of_row), of_row
        groups[-1].append(row)
    return groups


class Padding:
    """Where packed rows lie in padded groups [rows, heads, length, features a head], and the way back.

    `shapes` are (rows, length) of each group, and `masks` which of its places hold a token, [rows, length] (None where
    all do). A place without a token is filled with its row's last one.

    Args:
        lengths: tokens of each row, as they are packed.
        groups: the rows of each group; each row is in one.
        shortest: the least length of a group.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        groups: Sequence[Sequence[int]],
        *,
        heads: int,
        shortest: int,
        device: torch.device,
    ) -> None:
        tokens = np.array(lengths)
        starts = tokens.cumsum() - tokens
        self.shapes: list[tuple[int, int]] = []
        self.masks: list[Tensor | None] = []
        units: list[NDArray[np.int64]] = []
        real: list[NDArray[np.bool_]] = []
        for group in groups:
            rows = np.array(group)
            length = max(shortest, int(tokens[rows].max()))
            place, last = np.arange(length), tokens[rows, None] - 1
            is_token = place <= last
            at = starts[rows, None] + np.minimum(place, last)
            of_heads = at[:, None, :] * heads + np.arange(heads)[:, None]
            units.append(of_heads.ravel())
            real.append(np.broadcast_to(is_token[:, None, :], of_heads.shape).ravel())
            self.shapes.append((len(rows), length))
            self.masks.append(None if is_token.all() else torch.from_numpy(is_token).to(device))
        unit, is_real = np.concatenate(units), np.concatenate(real)
        back = np.empty(int(tokens.sum()) * heads, dtype=np.int64)
        back[unit[is_real]] = np.flatnonzero(is_real)
        self._heads = heads
        # A unit is what one head sees of one token: which of them stands at each padded place, at which place each
        # stands, and the places that are nobody's.
        self._unit = torch.from_numpy(unit).to(device)
        self._back = torch.from_numpy(back).to(device)
        self._filled = torch.from_numpy(np.flatnonzero(~is_real)).to(device)

    def unpack(self, packed: Tensor) -> list[Tensor]:
        """The groups of [tokens, heads × features a head]."""
        padded: Tensor = _Unpack.apply(packed, self)
        parts = padded.split([rows * self._heads * length for rows, length in self.shapes])
        return [
            part.view(rows, self._heads, length, -1) for part, (rows, length) in zip(parts, self.shapes, strict=True)
        ]

    def pack(self, groups: Sequence[Tensor]) -> Tensor:
        """The tokens of padded groups, [tokens, heads × features a head]."""
        packed: Tensor = _Pack.apply(torch.cat([group.reshape(-1, group.shape[3]) for group in groups]), self)
        return packed

    def padded(self, packed: Tensor) -> Tensor:
        """All groups one after another, [places, features a head]."""
        return packed.reshape(-1, packed.shape[1] // self._heads).index_select(0, self._unit)

    def zero_padded(self, packed: Tensor) -> Tensor:
        """The same with zeros where there is no token."""
        return self.padded(packed).index_fill_(0, self._filled, 0.0)

    def packed(self, padded: Tensor) -> Tensor:
        """The way back from `padded`."""
        return padded.index_select(0, self._back).view(-1, self._heads * padded.shape[1])


class _Unpack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, packed: Tensor, padding: Padding) -> Tensor:
        ctx.padding = padding
        return padding.padded(packed)

    @staticmethod
    def backward(ctx: Any, *of_outputs: Tensor) -> tuple[Tensor, None]:
        # A place without a token has no gradient: its key is hidden, and its query's answer goes nowhere.
        return ctx.padding.packed(of_outputs[0]), None


class _Pack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, padded: Tensor, padding: Padding) -> Tensor:
        ctx.padding = padding
        return padding.packed(padded)

    @staticmethod
    def backward(ctx: Any, *of_outputs: Tensor) -> tuple[Tensor, None]:
        return ctx.padding.zero_padded(of_outputs[0]), None
