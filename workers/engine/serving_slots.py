"""Slots that serve, and the form in which an adapter waits in memory for one: a single copy takes it there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from workers.engine.adapters import AdapterWeights, lora_a_key, lora_b_key
from workers.engine.lora import Bank, LoraProjections, LoraSlots, RowLora, aligned


@dataclass(frozen=True, eq=False)
class PackedAdapter:
    """An adapter laid out as the slots that serve hold it, in the precision it is stored in.

    `parts` are one tensor a device of the base model, [rank, features]: of every projection the row of A and the
    column of B.
    """

    parts: tuple[Tensor, ...] = field(repr=False)
    rank: int
    scale: float
    digest: str

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self.parts)

    @contextmanager
    def held(self) -> Iterator["PackedAdapter"]:
        """As whatever has adapters is asked for them: this one is here already."""
        yield self


@dataclass(frozen=True)
class _Columns:
    """Where a projection's values stand: in which part, and from which column on A and B do."""

    part: int
    a: int
    b: int


class _Layout:
    def __init__(self, projections: LoraProjections) -> None:
        self.widths: dict[torch.device, int] = {}
        self.columns: list[_Columns] = []
        for projection in projections.projections:
            at = self.widths.setdefault(projection.device, 0)
            after_a = aligned(at + projection.in_features)
            self.widths[projection.device] = aligned(after_a + projection.out_features)
            self.columns.append(_Columns(list(self.widths).index(projection.device), at, after_a))


def pack(projections: LoraProjections, weights: AdapterWeights) -> PackedAdapter:
    """Lay an adapter out as slots hold it; its values and their precision stay as they are.

    What goes to a GPU is put into page-locked memory, from which it is copied without waiting.
    """
    layout = _Layout(projections)
    dtypes = {tensor.dtype for tensor in weights.tensors.values()}
    dtype = dtypes.pop() if len(dtypes) == 1 else torch.float32
    parts = [
        torch.zeros(weights.rank, width, dtype=dtype, pin_memory=device.type == "cuda")
        for device, width in layout.widths.items()
    ]
    for projection, at in zip(projections.projections, layout.columns, strict=True):
        part = parts[at.part]
        part[:, at.a : at.a + projection.in_features] = weights.tensors[lora_a_key(projection.name)]
        part[:, at.b : at.b + projection.out_features] = weights.tensors[lora_b_key(projection.name)].t()
    return PackedAdapter(tuple(parts), weights.rank, weights.scale, weights.digest)


class ServingSlots(LoraSlots):
    """Slots laid out rank by rank, so that an adapter of any rank is one block of memory a device.

    A matrix has the same strides and alignment in every slot, and is read no further than its rank: bytes depend
    neither on the slot nor on the rank there is room for, so exact mode may use any.
    """

    def __init__(self, projections: LoraProjections, *, slots: int, rank: int, dtype: torch.dtype) -> None:
        super().__init__(projections, slots=slots, rank=rank, dtype=dtype)

    @torch.inference_mode(False)
    def _allocate(self, *, trainable: bool) -> None:
        layout = _Layout(self.owner)
        self._columns = layout.columns
        self.banks = [
            Bank(torch.zeros(self.slots, self.rank, width, dtype=self.dtype, device=device), None)
            for device, width in layout.widths.items()
        ]
        self.a, self.b = self.matrices([bank.values for bank in self.banks])
        # Which columns of a bank are those of A matrices, [features].
        self.reads = [
            torch.zeros(bank.values.shape[2], dtype=torch.bool, device=bank.values.device) for bank in self.banks
        ]
        for projection, at in zip(self.owner.projections, self._columns, strict=True):
            self.reads[at.part][at.a : at.a + projection.in_features] = True

    def matrices(self, buffers: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        a: list[Tensor] = []
        b: list[Tensor] = []
        for projection, at in zip(self.owner.projections, self._columns, strict=True):
            a.append(buffers[at.part].narrow(2, at.a, projection.in_features))
            b.append(buffers[at.part].narrow(2, at.b, projection.out_features).transpose(1, 2))
        return a, b

    @torch.no_grad()
    def load(self, slot: int, weights: AdapterWeights | PackedAdapter) -> None:
        """Copy an adapter into a slot, converted to the slots' precision."""
        packed = weights if isinstance(weights, PackedAdapter) else pack(self.owner, weights)
        self._must_fit(packed.rank)
        for bank, part in zip(self.banks, packed.parts, strict=True):
            values = bank.values[slot]
            # To a GPU in the stored precision: fewer bytes on the way, and nothing waits for them.
            values[: packed.rank].copy_(part.to(values.device, non_blocking=True))
            values[packed.rank :].zero_()
        self.ranks[slot] = packed.rank
        self.scales[slot] = packed.scale

    @torch.no_grad()
    def clear(self, slot: int) -> None:
        """Overwrite what a slot holds."""
        for bank in self.banks:
            bank.values[slot].zero_()

    def for_rows(self, used: Sequence[int | None]) -> RowLora | None:
        return None if all(slot is None for slot in used) else _GatheredRows(self, used)


class _GatheredRows(RowLora):
    """The rows' adapters gathered as whole blocks, of which every matrix is a view."""

    def __init__(self, slots: ServingSlots, used: Sequence[int | None]) -> None:
        super().__init__(slots, used)
        blocks = [
            bank.values[self.index(bank.values.device), : self.rank]
            * torch.where(reads, self.scales(bank.values.device), 1.0)
            for bank, reads in zip(slots.banks, slots.reads, strict=True)
        ]
        self._a, self._b = slots.matrices(blocks)

    def matrices(self, place: int) -> tuple[Tensor, Tensor]:
        return self._a[place], self._b[place].transpose(1, 2)
