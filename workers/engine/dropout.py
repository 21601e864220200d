"""LoRA dropout whose masks belong to the adapter, not to the pass it was trained in.

A mask is a pure function of (adapter seed, optimizer step, projection, row in the user's batch, token, feature): it
does not depend on who shares the pass, on padding, on the order of calls or on the device. The bits come from
splitmix64 over a counter, fifteen of them an element.
"""

import math
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
    """Whose masks a batch row takes: the adapter's seed, its step, the row within that user's batch, and how much."""

    seed: int
    step: int
    row: int
    probability: float


class KeyedDropout:
    """What the masks of one pass over `rows` are drawn from, for projections numbered from 0.

    `keys` are [projections, rows], `dropped` how many of the levels each row drops, `scales` what each row's kept
    inputs are multiplied by (1 where nothing is dropped).
    """

    def __init__(self, rows: Sequence[DropoutRow], *, projections: int) -> None:
        if not all(0 <= row.probability < 1 for row in rows):
            raise ValueError("a dropout probability is at least 0 and below 1")
        # What is dropped is a whole number of the 32,768 levels; the scale undoes exactly that share.
        dropped = [min(math.ceil(row.probability * _LEVELS), _LEVELS - 1) for row in rows]
        self.scales = [_LEVELS / (_LEVELS - levels) for levels in dropped]
        self.dropped = torch.tensor(dropped, dtype=torch.int16)
        of_row = torch.tensor([stream_seed(row.seed, "dropout", row.step, row.row) for row in rows])
        of_projection = _scramble(torch.arange(1, projections + 1, dtype=torch.int64).mul_(_signed(_GOLDEN)))
        self.keys = _scramble(of_projection[:, None] ^ of_row)


class PackedDropout:
    """The masks of rows laid end to end, `lengths` tokens each."""

    def __init__(self, dropout: KeyedDropout, lengths: Sequence[int]) -> None:
        count = torch.tensor(lengths)
        row = torch.repeat_interleave(count)
        place = torch.arange(len(row)) - (count.cumsum(0) - count)[row]
        # Keys [projections, rows]; then of each token its row, its place in it, and how many levels are dropped. They
        # lie on each device that has asked for masks.
        self._of_tokens = {torch.device("cpu"): (dropout.keys, row, place, dropout.dropped[row, None])}

    def kept(self, projection: int, *, features: int, device: torch.device) -> Tensor:
        """1 where an input stays and 0 where it is dropped, bytes of shape [tokens, features]."""
        keys, row, place, dropped = self._on(device)
        words = -(-features // _PER_WORD)
        first = (place * words).mul_(_signed(_GOLDEN)).add_(keys[projection][row])
        counter = torch.arange(words, dtype=torch.int64, device=device).mul_(_signed(_GOLDEN))
        drawn = _scramble(first[:, None] + counter).view(torch.int16)
        levels = drawn[:, :features] & (_LEVELS - 1)
        # The sign of the difference, spread over all bits, is -1 where dropped: cheaper on a CPU than a comparison,
        # and bytes multiply faster there than booleans.
        return levels.sub_(dropped).bitwise_right_shift_(15).add_(1).to(torch.uint8)

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if device not in self._of_tokens:
            keys, row, place, dropped = self._of_tokens[torch.device("cpu")]
            self._of_tokens[device] = keys.to(device), row.to(device), place.to(device), dropped.to(device)
        return self._of_tokens[device]
