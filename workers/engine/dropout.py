"""LoRA dropout whose masks belong to the adapter, not to the pass it was trained in.

A mask is a pure function of (adapter seed, optimizer step, projection, row in the user's batch, token, feature): it
does not depend on who shares the pass, on padding, on the order of calls or on the device. The bits come from
splitmix64 over a counter, fifteen of them an element.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.engine.seeds import stream_seed

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_PER_WORD = 4  # draws in a 64-bit word
_LEVELS = 1 << 15


def _signed(value: int) -> int:
    """The int64 of the same 64 bits."""
    return value - (1 << 64) if value >> 63 else value


def _scramble(words: Tensor) -> Tensor:
    """The output function of splitmix64, in place; int64 multiplication wraps, shifts are made logical by a mask."""
    words ^= (words >> 30) & ((1 << 34) - 1)
    words *= _signed(_FIRST)
    words ^= (words >> 27) & ((1 << 37) - 1)
    words *= _signed(_SECOND)
    words ^= (words >> 31) & ((1 << 33) - 1)
    return words


@dataclass(frozen=True)
class DropoutRow:
    """Whose masks a batch row takes: the adapter's seed, its step, and the row within that user's batch."""

    seed: int
    step: int
    row: int


class KeyedDropout:
    """Masks for one pass over `rows`, for projections numbered from 0."""

    def __init__(self, rows: Sequence[DropoutRow], *, probability: float, projections: int) -> None:
        if not 0 < probability < 1:
            raise ValueError("a dropout probability lies between 0 and 1")
        # What is dropped is a whole number of the 32,768 levels; the scale undoes exactly that share.
        dropped = min(max(round(probability * _LEVELS), 1), _LEVELS - 1)
        self.scale = 1.0 / (1.0 - dropped / _LEVELS)
        self._dropped = dropped
        of_row = torch.tensor([stream_seed(row.seed, "dropout", row.step, row.row) for row in rows])
        of_projection = _scramble(torch.arange(1, projections + 1, dtype=torch.int64).mul_(_signed(_GOLDEN)))
        self._keys = _scramble(of_projection[:, None] ^ of_row)  # [projections, rows]

    def kept(self, projection: int, *, length: int, features: int, device: torch.device, dtype: torch.dtype) -> Tensor:
        """1 where an input stays and 0 where it is dropped, shape [rows, length, features]."""
        words = -(-features // _PER_WORD)
        counter = torch.arange(length * words, dtype=torch.int64, device=device).mul_(_signed(_GOLDEN))
        drawn = _scramble(counter + self._keys[projection].to(device)[:, None]).view(torch.int16)
        levels = drawn.view(-1, length, words * _PER_WORD)[..., :features] & (_LEVELS - 1)
        # The sign of the difference, spread over all bits, is -1 where dropped: cheaper on a CPU than a comparison.
        return ((levels - self._dropped) >> 15).to(dtype).add_(1.0)
