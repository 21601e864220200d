"""What LoRA adds to the frozen projections while adapters are trained, and its gradients.

A pass holds rows of several users. The gradient of a row's adapter is added straight into its slot of the gradient
buffer: autograd's own way would make a tensor of the size of all slots for each projection and pass. Of a projection,
the inputs (which q, k and v of one layer share) and a byte an element for dropout are kept for the way back.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from workers.engine.dropout import KeyedDropout
from workers.engine.lora import LoraSlots, Pass


@contextmanager
def training_rows(slots: LoraSlots, used: Sequence[int], *, dropout: KeyedDropout | None) -> Iterator[None]:
    """Let batch row i of the forward and backward passes inside train slot `used[i]`."""
    shared = len(set(used)) == 1
    with slots.owner.active(_OneTrained(slots, used, dropout) if shared else _Trained(slots, used, dropout)):
        yield


class _Trained(Pass):
    """Each row trains its own adapter: batched products over matrices gathered by row."""

    def __init__(self, slots: LoraSlots, used: Sequence[int], dropout: KeyedDropout | None) -> None:
        super().__init__(slots)
        self._dropout = dropout
        rescaling = [1.0] * len(used) if dropout is None else dropout.scales
        scales = [slots.scales[slot] * again for slot, again in zip(used, rescaling, strict=True)]
        devices = {bank.values.device for bank in slots.banks}
        # Once a pass and device: what is moved while a projection runs makes a GPU wait.
        self._rows = {device: torch.tensor(used).to(device) for device in devices}
        self._scales = {device: torch.tensor(scales, dtype=slots.dtype)[:, None, None].to(device) for device in devices}

    def add(self, index: int, inputs: Tensor, output: Tensor) -> Tensor:
        a, b = self.slots.a[index], self.slots.b[index]
        mask = self._mask(index, inputs, a.device)
        added: Tensor = _ByRow.apply(inputs, output, a, b, self._rows[a.device], self._scales[a.device], mask)
        return added

    def _mask(self, index: int, inputs: Tensor, device: torch.device) -> Tensor | None:
        if self._dropout is None:
            return None
        return self._dropout.kept(index, length=inputs.shape[1], features=inputs.shape[2], device=device)


class _OneTrained(_Trained):
    """All rows train one adapter: plain matrix products."""

    def __init__(self, slots: LoraSlots, used: Sequence[int], dropout: KeyedDropout | None) -> None:
        super().__init__(slots, used, dropout)
        self._slot = used[0]
        self._scale = slots.scales[self._slot] * (1.0 if dropout is None else dropout.scales[0])

    def add(self, index: int, inputs: Tensor, output: Tensor) -> Tensor:
        a, b = self.slots.a[index], self.slots.b[index]
        mask = self._mask(index, inputs, a.device)
        added: Tensor = _OneSlot.apply(inputs, output, a, b, self._slot, self._scale, mask)
        return added


class _ByRow(torch.autograd.Function):
    """output + scales · (mask · x) Aᵀ Bᵀ of each row's own A and B, in `output`'s place.

    `a` and `b` are whole stacks, [slots, rank, in] and [slots, out, rank]; backward adds to their `grad` in place.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        output: Tensor,
        a: Tensor,
        b: Tensor,
        rows: Tensor,
        scales: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        inner = torch.bmm(_prepared(inputs, a, mask), a[rows].transpose(1, 2)).mul_(scales)
        ctx.save_for_backward(inputs, inner, rows, scales, mask)
        ctx.stacks = (a, b)
        ctx.mark_dirty(output)
        of_rows_b = b[rows].transpose(1, 2)
        if output.dtype == inner.dtype and output.device == inner.device:
            return output.baddbmm_(inner, of_rows_b)
        return output.add_(torch.bmm(inner, of_rows_b).to(device=output.device, dtype=output.dtype))

    @staticmethod
    def backward(ctx: Any, *of_outputs: Tensor) -> tuple[Tensor | None, ...]:
        inputs, inner, rows, scales, mask = ctx.saved_tensors
        a, b = ctx.stacks
        gradient = of_outputs[0].to(device=a.device, dtype=a.dtype)
        _add_by_slot(b.grad, rows, torch.bmm(gradient.transpose(1, 2), inner))
        # Gathered again and not kept: for a large model that is one whole adapter a row.
        of_inner = torch.bmm(gradient, b[rows]).mul_(scales)
        _add_by_slot(a.grad, rows, torch.bmm(of_inner.transpose(1, 2), _prepared(inputs, a, mask)))
        of_inputs = None
        if ctx.needs_input_grad[0]:
            of_inputs = _to_inputs(torch.bmm(of_inner, a[rows]), inputs, mask)
        return of_inputs, of_outputs[0], None, None, None, None, None


def _add_by_slot(gradient: Tensor, rows: Tensor, of_rows: Tensor) -> None:
    """Add the rows' gradients, [rows, m, n], to those of their slots in `gradient`, [slots, m, n].

    By index and not by a product with ones and zeros: of a row that has no finite gradient, zero times it would spoil
    every other slot.
    """
    gradient.index_add_(0, rows, of_rows)


class _OneSlot(torch.autograd.Function):
    """output + scale · (mask · x) Aᵀ Bᵀ of one slot's A and B, in `output`'s place; see `_ByRow`."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, output: Tensor, a: Tensor, b: Tensor, slot: int, scale: float, mask: Tensor | None
    ) -> Tensor:
        inner = torch.mm(_prepared(inputs, a, mask).flatten(0, 1), a[slot].t()).mul_(scale)
        ctx.save_for_backward(inputs, inner, mask)
        ctx.stacks, ctx.slot, ctx.scale = (a, b), slot, scale
        ctx.mark_dirty(output)
        added = torch.mm(inner, b[slot].t()).view(output.shape)
        return output.add_(added.to(device=output.device, dtype=output.dtype))

    @staticmethod
    def backward(ctx: Any, *of_outputs: Tensor) -> tuple[Tensor | None, ...]:
        inputs, inner, mask = ctx.saved_tensors
        a, b = ctx.stacks
        gradient = of_outputs[0].to(device=a.device, dtype=a.dtype).flatten(0, 1)
        b.grad[ctx.slot].addmm_(gradient.t(), inner)
        of_inner = torch.mm(gradient, b[ctx.slot]).mul_(ctx.scale)
        a.grad[ctx.slot].addmm_(of_inner.t(), _prepared(inputs, a, mask).flatten(0, 1))
        of_inputs = None
        if ctx.needs_input_grad[0]:
            of_inputs = _to_inputs(torch.mm(of_inner, a[ctx.slot]).view(inputs.shape), inputs, mask)
        return of_inputs, of_outputs[0], None, None, None, None, None


def _prepared(inputs: Tensor, like: Tensor, mask: Tensor | None) -> Tensor:
    """The inputs in the slots' precision and place, zero where dropout takes them away (not yet rescaled)."""
    prepared = inputs.to(device=like.device, dtype=like.dtype)
    return prepared if mask is None else prepared * mask


def _to_inputs(gradient: Tensor, inputs: Tensor, mask: Tensor | None) -> Tensor:
    if mask is not None:
        gradient.mul_(mask)
    return gradient.to(device=inputs.device, dtype=inputs.dtype)
