"""What LoRA adds to the frozen projections while adapters are trained, and its gradients.

A pass holds packed rows of several users, a user's rows side by side. So an adapter's products are plain ones over a
stretch of tokens, and its gradient is added straight into its slot of the gradient buffer: autograd's own way would
make a tensor of the size of all slots for each projection and pass. No value of one user is ever multiplied into
another's, not even by zero, which would spread what is not finite. Of a projection, the inputs (which q, k and v of
one layer share) and a byte an element for dropout are kept for the way back.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from workers.engine.dropout import KeyedDropout, PackedDropout
from workers.engine.lora import LoraSlots


class TrainedRows:
    """The adapters of a pass whose packed row i trains slot `used[i]`.

    `source_lengths` and `target_lengths` are tokens of each row's input and output.
    """

    def __init__(
        self,
        slots: LoraSlots,
        used: Sequence[int],
        *,
        source_lengths: Sequence[int],
        target_lengths: Sequence[int],
        dropout: KeyedDropout | None,
    ) -> None:
        self._slots = slots
        rescaling = [1.0] * len(used) if dropout is None else dropout.scales
        scales = [slots.scales[slot] * again for slot, again in zip(used, rescaling, strict=True)]
        self._sources, self._targets = (
            (_Stretches(slots, used, lengths, scales), None if dropout is None else PackedDropout(dropout, lengths))
            for lengths in (source_lengths, target_lengths)
        )

    def project(self, inputs: Tensor, projections: Mapping[str, Any], *, of_sources: bool) -> tuple[Tensor, ...]:
        """What each of these frozen projections, by name, and the rows' adapters beside it make of the same inputs.

        Args:
            inputs: [tokens, in] of all rows' inputs (`of_sources`) or outputs.

        Returns: [tokens, out] for each.
        """
        stretches, dropout = self._sources if of_sources else self._targets
        places = [self._slots.owner.place[name] for name in projections]
        weights = [projection.weight for projection in projections.values()]
        masks: list[Tensor | None] = [None] * len(places)
        if dropout is not None:
            masks = [dropout.kept(place, features=inputs.shape[1], device=inputs.device) for place in places]
        stacks = [stack for place in places for stack in (self._slots.a[place], self._slots.b[place])]
        projected: tuple[Tensor, ...] = _Project.apply(inputs, stretches, weights, masks, *stacks)
        return projected


class _Stretches:
    """The tokens of a side, cut where another adapter begins."""

    def __init__(self, slots: LoraSlots, used: Sequence[int], lengths: Sequence[int], scales: Sequence[float]) -> None:
        runs = [list(rows) for _, rows in groupby(range(len(used)), key=used.__getitem__)]
        self.scales = [scales[rows[0]] for rows in runs]
        self._slots = [used[rows[0]] for rows in runs]
        self._ranks = [slots.ranks[slot] for slot in self._slots]
        self._sizes = [sum(lengths[row] for row in rows) for rows in runs]

    def split(self, values: Tensor | None, *, dim: int = 0) -> Sequence[Any]:
        """The stretches of what has a token at each place of `dim`."""
        return [None] * len(self._sizes) if values is None else values.split(self._sizes, dim)

    def matrices(self, a: Tensor, b: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each stretch's own A [rank, in] and B [out, rank] out of whole stacks."""
        of_a, of_b = a.unbind(0), b.unbind(0)
        return [
            (of_a[slot], of_b[slot]) if rank == a.shape[1] else (of_a[slot][:rank], of_b[slot][:, :rank])
            for slot, rank in zip(self._slots, self._ranks, strict=True)
        ]


class _Project(torch.autograd.Function):
    """x Wᵀ + scale · (mask · x) Aᵀ Bᵀ for each W, with A and B of the adapter that a token trains.

    `stacks` are A [slots, rank, in] and B [slots, out, rank] for each W; backward adds to their `grad` in place.
    Products are written so that the long side of a narrow matrix is the one that lies in memory in a row: on a CPU
    that is up to four times as fast.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        stretches: _Stretches,
        weights: Sequence[Tensor],
        masks: Sequence[Tensor | None],
        *stacks: Tensor,
    ) -> tuple[Tensor, ...]:
        stacked = list(zip(stacks[::2], stacks[1::2], strict=True))
        precise = inputs.to(stacks[0].dtype)
        outputs = [torch.mm(inputs, weight.t()) for weight in weights]
        # (mask · x) Aᵀ without the scale, transposed: [rank, tokens].
        inner = [precise.new_empty(a.shape[1], len(inputs)) for a, _ in stacked]
        xs = stretches.split(precise)
        for (all_a, all_b), of_mask, of_inner, output in zip(stacked, masks, inner, outputs, strict=True):
            for scale, (a, b), x, mask, z, y in zip(
                stretches.scales,
                stretches.matrices(all_a, all_b),
                xs,
                stretches.split(of_mask),
                stretches.split(of_inner, dim=1),
                stretches.split(output),
                strict=True,
            ):
                own = z[: len(a)]
                torch.mm(a, _kept(x, mask).t(), out=own)
                if y.dtype == own.dtype:
                    y.addmm_(own.t(), b.t(), alpha=scale)
                else:
                    y.add_(torch.mm(own.t(), b.t()), alpha=scale)
        ctx.save_for_backward(inputs, *inner, *masks)
        ctx.stretches, ctx.weights, ctx.stacked = stretches, weights, stacked
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *of_outputs: Tensor) -> tuple[Tensor | None, ...]:
        stretches, weights = ctx.stretches, ctx.weights
        inputs, *kept = ctx.saved_tensors
        inner, masks = kept[: len(weights)], kept[len(weights) :]
        of_inputs = None
        if ctx.needs_input_grad[0]:
            of_inputs = torch.mm(of_outputs[0], weights[0])
            for of_output, weight in zip(of_outputs[1:], weights[1:], strict=True):
                of_inputs.addmm_(of_output, weight)
        xs, of_xs = stretches.split(inputs.to(inner[0].dtype)), stretches.split(of_inputs)
        for (all_a, all_b), of_mask, of_inner, of_output in zip(ctx.stacked, masks, inner, of_outputs, strict=True):
            for scale, (a, b), (of_a, of_b), x, of_x, mask, z, of_y in zip(
                stretches.scales,
                stretches.matrices(all_a, all_b),
                stretches.matrices(all_a.grad, all_b.grad),
                xs,
                of_xs,
                stretches.split(of_mask),
                stretches.split(of_inner, dim=1),
                stretches.split(of_output.to(of_inner.dtype)),
                strict=True,
            ):
                of_b.add_(torch.mm(z[: len(a)], of_y).t(), alpha=scale)
                of_z = torch.mm(b.t(), of_y.t())
                of_a.addmm_(of_z, _kept(x, mask), alpha=scale)
                if of_x is not None:
                    of_x.add_(_kept(torch.mm(of_z.t(), a), mask), alpha=scale)
        return of_inputs, None, None, None, *[None] * (2 * len(weights))


def _kept(values: Tensor, mask: Tensor | None) -> Tensor:
    """Zero where dropout takes values away (the rest is not yet rescaled)."""
    return values if mask is None else values * mask
