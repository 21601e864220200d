"""LoRA of many users beside the frozen q, k and v projections of one T5.

`LoraProjections` is attached to a base model once in its life: it finds the projections and adds a forward hook to
each, which does nothing until a pass is active. `LoraSlots` holds the weights of several adapters stacked, slot by
slot, in one buffer a device; a slot is reset or loaded in place. A pass says which slot each batch row uses; a row
may use none. The module tree and the base weights are never touched, so nothing can nest and nothing has to be undone.

    with slots.rows([0, 0, 1, None]):
        model(...)          # four rows, two users and one without an adapter

Ranks may differ between slots: a smaller rank is padded with zeros, which stay zero under training. Beams need no
bookkeeping: beam search works on batch × beams rows in batch-major order, and a row's beams share its adapter.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from workers.engine.adapters import AdapterWeights, lora_a_key, lora_b_key
from workers.engine.dropout import KeyedDropout
from workers.engine.seeds import stream

TARGETS = ("k", "q", "v")
_ATTENTIONS = ("SelfAttention", "EncDecAttention")
_ALIGNMENT = 16  # elements: every matrix starts on a 64-byte boundary, so kernels see the same alignment in each run


@dataclass(frozen=True)
class Projection:
    """A frozen linear layer that carries LoRA; `name` is its path in the base model."""

    name: str
    in_features: int
    out_features: int
    device: torch.device

    def shapes(self, rank: int) -> dict[str, tuple[int, int]]:
        """Shapes of its two matrices by peft's names."""
        return {lora_a_key(self.name): (rank, self.in_features), lora_b_key(self.name): (self.out_features, rank)}


class LoraProjections:
    """The projections of a base model that carry LoRA, in the order of the model's modules."""

    def __init__(self, model: nn.Module) -> None:
        self._pass: _Pass | None = None
        found: list[Projection] = []
        self._hooks: list[RemovableHandle] = []
        for name, module in model.named_modules():
            parts = name.split(".")
            if len(parts) < 2 or parts[-1] not in TARGETS or parts[-2] not in _ATTENTIONS:
                continue
            if not isinstance(module, nn.Linear) or module.bias is not None:
                raise TypeError(f"{name} is no plain linear projection")
            found.append(Projection(name, module.in_features, module.out_features, module.weight.device))
            self._hooks.append(module.register_forward_hook(partial(self._add, len(found) - 1)))
        if not found:
            raise TypeError("the model has no q, k, v projections of T5 attention")
        self.projections = tuple(found)

    def detach(self) -> None:
        """Remove the hooks; the model is then exactly as it was loaded."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def shapes(self, rank: int) -> dict[str, tuple[int, int]]:
        """Names (peft's) and shapes of all tensors of an adapter of that rank."""
        return {name: shape for projection in self.projections for name, shape in projection.shapes(rank).items()}

    def parameters_per_rank(self) -> int:
        """LoRA parameters that one unit of rank costs."""
        return sum(projection.in_features + projection.out_features for projection in self.projections)

    @contextmanager
    def active(self, one_pass: "_Pass") -> Iterator[None]:
        if self._pass is not None:
            raise RuntimeError("a pass is already active on this base model")
        self._pass = one_pass
        try:
            yield
        finally:
            self._pass = None

    def _add(self, index: int, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if self._pass is None:
            return None
        return self._pass.add(index, inputs[0], output)


@dataclass(eq=False)
class Bank:
    """The stacked weights on one device: row s of `values` is slot s. `gradients` has the same shape, if trainable."""

    values: Tensor
    gradients: Tensor | None


class LoraSlots:
    """`slots` adapters of at most `rank`, beside the projections of one base model."""

    def __init__(
        self,
        projections: LoraProjections,
        *,
        slots: int,
        rank: int,
        trainable: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.owner = projections
        self.slots = slots
        self.rank = rank
        self.dtype = dtype
        self.scales = [0.0] * slots
        self.ranks = [0] * slots
        self.a: list[Tensor] = []  # per projection [slots, rank, in]
        self.b: list[Tensor] = []  # per projection [slots, out, rank]
        self.banks: list[Bank] = []
        self._allocate(trainable=trainable)

    @property
    def nbytes(self) -> int:
        return sum(bank.values.nbytes for bank in self.banks)

    @torch.inference_mode(False)
    def _allocate(self, *, trainable: bool) -> None:
        """One buffer a device; matrices are views into it, and so are their gradients."""
        offsets: dict[torch.device, int] = {}
        places: list[tuple[torch.device, int, int]] = []
        for projection in self.owner.projections:
            at = offsets.get(projection.device, 0)
            after_a = _aligned(at + self.rank * projection.in_features)
            offsets[projection.device] = _aligned(after_a + self.rank * projection.out_features)
            places.append((projection.device, at, after_a))
        banks: dict[torch.device, Bank] = {}
        for device, size in offsets.items():
            values = torch.zeros(self.slots, size, dtype=self.dtype, device=device)
            banks[device] = Bank(values, torch.zeros_like(values) if trainable else None)
        self.banks = list(banks.values())
        for projection, (device, at_a, at_b) in zip(self.owner.projections, places, strict=True):
            bank = banks[device]
            for views, at, shape in (
                (self.a, at_a, (self.rank, projection.in_features)),
                (self.b, at_b, (projection.out_features, self.rank)),
            ):
                view = bank.values.narrow(1, at, shape[0] * shape[1]).unflatten(1, shape)
                if bank.gradients is not None:
                    view.requires_grad_(True)
                    view.grad = bank.gradients.narrow(1, at, shape[0] * shape[1]).unflatten(1, shape)
                views.append(view)

    @torch.no_grad()
    def reset(self, slot: int, *, seed: int, rank: int, alpha: float) -> None:
        """Start a new adapter as peft does: A from U(±1/√in), B zero; drawn from the adapter's seed alone."""
        self._occupy(slot, rank=rank, scale=alpha / rank)
        source = stream(seed, "init")
        for projection, a in zip(self.owner.projections, self.a, strict=True):
            bound = 1.0 / math.sqrt(projection.in_features)  # kaiming_uniform with a = √5
            drawn = torch.empty(rank, projection.in_features).uniform_(-bound, bound, generator=source)
            a[slot, :rank].copy_(drawn)

    @torch.no_grad()
    def load(self, slot: int, weights: AdapterWeights) -> None:
        """Copy an adapter into a slot, padded to the slots' rank."""
        self._occupy(slot, rank=weights.rank, scale=weights.scale)
        for projection, a, b in zip(self.owner.projections, self.a, self.b, strict=True):
            a[slot, : weights.rank].copy_(weights.tensors[lora_a_key(projection.name)])
            b[slot, :, : weights.rank].copy_(weights.tensors[lora_b_key(projection.name)])

    @torch.no_grad()
    def read(self, slot: int) -> dict[str, Tensor]:
        """A copy of a slot's weights by peft's names, on the CPU, without the padding."""
        rank = self.ranks[slot]
        tensors: dict[str, Tensor] = {}
        for projection, a, b in zip(self.owner.projections, self.a, self.b, strict=True):
            tensors[lora_a_key(projection.name)] = _copy(a[slot, :rank])
            tensors[lora_b_key(projection.name)] = _copy(b[slot, :, :rank])
        return tensors

    def _occupy(self, slot: int, *, rank: int, scale: float) -> None:
        if not 1 <= rank <= self.rank:
            raise ValueError(f"an adapter of rank {rank} does not fit slots of rank {self.rank}")
        for bank in self.banks:
            bank.values[slot].zero_()
        self.ranks[slot] = rank
        self.scales[slot] = scale

    @contextmanager
    def rows(self, slots: Sequence[int | None], *, dropout: KeyedDropout | None = None) -> Iterator[None]:
        """Let batch row i of every forward inside use slot `slots[i]`, or none."""
        used = set(slots)
        if used == {None}:
            yield
            return
        one_pass: _Pass
        if len(used) == 1:
            one_pass = _OneSlot(self, slot=_the_only(slots), dropout=dropout)
        else:
            one_pass = _ManySlots(self, slots_of_rows=slots, dropout=dropout)
        with self.owner.active(one_pass):
            yield


class _Pass(ABC):
    """What the hooks add to a projection's output while it is active."""

    def __init__(self, slots: LoraSlots, *, dropout: KeyedDropout | None) -> None:
        self.slots = slots
        self.dropout = dropout

    @abstractmethod
    def add(self, index: int, inputs: Tensor, output: Tensor) -> Tensor: ...

    def _prepared(self, index: int, inputs: Tensor) -> Tensor:
        """The inputs in the slots' precision, with what dropout takes away set to zero (not yet rescaled)."""
        weight = self.slots.a[index]
        prepared = inputs.to(device=weight.device, dtype=weight.dtype)
        if self.dropout is None:
            return prepared
        kept = self.dropout.kept(
            index,
            length=prepared.shape[1],
            features=prepared.shape[2],
            device=prepared.device,
            dtype=prepared.dtype,
        )
        return prepared * kept


class _OneSlot(_Pass):
    """Every row uses the same adapter: plain matrix products."""

    def __init__(self, slots: LoraSlots, *, slot: int, dropout: KeyedDropout | None) -> None:
        super().__init__(slots, dropout=dropout)
        self.slot = slot
        self.scale = slots.scales[slot] * (dropout.scale if dropout else 1.0)

    def add(self, index: int, inputs: Tensor, output: Tensor) -> Tensor:
        a, b = self.slots.a[index][self.slot], self.slots.b[index][self.slot]
        inner = functional.linear(self._prepared(index, inputs), a) * self.scale
        return output + functional.linear(inner, b).to(output.dtype)


@dataclass(eq=False)
class _Gathered:
    """A projection's matrices as the rows of one pass need them."""

    a: Tensor  # [rows, in, rank], already scaled
    b: Tensor  # [rows, rank, out]


class _ManySlots(_Pass):
    """Each row uses its own adapter or none: batched products over matrices gathered by row.

    A row without an adapter borrows some slot's matrices with a scale of zero, and so adds exact zeros.
    """

    def __init__(self, slots: LoraSlots, *, slots_of_rows: Sequence[int | None], dropout: KeyedDropout | None) -> None:
        super().__init__(slots, dropout=dropout)
        self._index = torch.tensor([0 if slot is None else slot for slot in slots_of_rows])
        rescale = dropout.scale if dropout else 1.0
        self._scales = torch.tensor(
            [0.0 if slot is None else slots.scales[slot] * rescale for slot in slots_of_rows], dtype=slots.dtype
        )
        self._kept: dict[int, _Gathered] = {}

    def _gathered(self, index: int) -> _Gathered:
        """Gathered once a pass; under training each forward needs it as part of its own graph."""
        if index in self._kept:
            return self._kept[index]
        a, b = self.slots.a[index], self.slots.b[index]
        rows = self._index.to(a.device)
        scales = self._scales.to(a.device)
        gathered = _Gathered((a[rows] * scales[:, None, None]).transpose(1, 2), b[rows].transpose(1, 2))
        if not (torch.is_grad_enabled() and a.requires_grad):
            self._kept[index] = gathered
        return gathered

    def add(self, index: int, inputs: Tensor, output: Tensor) -> Tensor:
        weights = self._gathered(index)
        prepared = self._prepared(index, inputs)
        by_row = prepared.reshape(len(self._index), -1, prepared.shape[-1])  # a row's beams lie side by side
        added = torch.bmm(torch.bmm(by_row, weights.a), weights.b)
        return output + added.view(output.shape).to(output.dtype)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _the_only(slots: Sequence[int | None]) -> int:
    slot = slots[0]
    if slot is None:
        raise ValueError("the rows of this pass use no adapter")
    return slot
