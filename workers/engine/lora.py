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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from workers.engine.adapters import AdapterWeights, lora_a_key, lora_b_key
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
        self._pass: RowLora | None = None
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
        self.place = {projection.name: place for place, projection in enumerate(found)}

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
    def active(self, one_pass: "RowLora | None") -> Iterator[None]:
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
        self.a: list[Tensor]  # per projection [slots, rank, in]
        self.b: list[Tensor]  # per projection [slots, out, rank]
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
            after_a = aligned(at + self.rank * projection.in_features)
            offsets[projection.device] = aligned(after_a + self.rank * projection.out_features)
            places.append((projection.device, at, after_a))
        banks: dict[torch.device, Bank] = {}
        for device, size in offsets.items():
            values = torch.zeros(self.slots, size, dtype=self.dtype, device=device)
            banks[device] = Bank(values, torch.zeros_like(values) if trainable else None)
        self.banks = list(banks.values())
        self._places = [(list(offsets).index(device), at_a, at_b) for device, at_a, at_b in places]
        self.a, self.b = self.matrices([bank.values for bank in self.banks])
        if trainable:
            gradients = self.matrices([bank.gradients for bank in self.banks if bank.gradients is not None])
            for views, gradients_of in zip((self.a, self.b), gradients, strict=True):
                for view, gradient in zip(views, gradients_of, strict=True):
                    view.requires_grad_(True)
                    view.grad = gradient

    def matrices(self, buffers: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """A [slots, rank, in] and B [slots, out, rank] of each projection, as views into one buffer a bank.

        The weights themselves are such views; so are what an optimizer keeps beside them.
        """
        a: list[Tensor] = []
        b: list[Tensor] = []
        for projection, (bank, at_a, at_b) in zip(self.owner.projections, self._places, strict=True):
            for views, at, shape in (
                (a, at_a, (self.rank, projection.in_features)),
                (b, at_b, (projection.out_features, self.rank)),
            ):
                views.append(buffers[bank].narrow(1, at, shape[0] * shape[1]).unflatten(1, shape))
        return a, b

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
    def read(self, slot: int, buffers: Sequence[Tensor] | None = None) -> dict[str, Tensor]:
        """A copy of a slot's weights by peft's names, on the CPU, without the padding.

        `buffers`, one a bank, are read in the weights' place where they are given.
        """
        rank = self.ranks[slot]
        stacked_a, stacked_b = (self.a, self.b) if buffers is None else self.matrices(buffers)
        tensors: dict[str, Tensor] = {}
        for projection, a, b in zip(self.owner.projections, stacked_a, stacked_b, strict=True):
            tensors[lora_a_key(projection.name)] = _copy(a[slot, :rank])
            tensors[lora_b_key(projection.name)] = _copy(b[slot, :, :rank])
        return tensors

    @torch.no_grad()
    def write(self, slot: int, tensors: Mapping[str, Tensor], buffers: Sequence[Tensor]) -> None:
        """Copy what `read` gave for an adapter of the slot's rank back into `buffers`."""
        rank = self.ranks[slot]
        for projection, a, b in zip(self.owner.projections, *self.matrices(buffers), strict=True):
            a[slot, :rank].copy_(tensors[lora_a_key(projection.name)])
            b[slot, :, :rank].copy_(tensors[lora_b_key(projection.name)])

    def _occupy(self, slot: int, *, rank: int, scale: float) -> None:
        self._must_fit(rank)
        for bank in self.banks:
            bank.values[slot].zero_()
        self.ranks[slot] = rank
        self.scales[slot] = scale

    def _must_fit(self, rank: int) -> None:
        if not 1 <= rank <= self.rank:
            raise ValueError(f"an adapter of rank {rank} does not fit slots of rank {self.rank}")

    def for_rows(self, used: Sequence[int | None]) -> "RowLora | None":
        """What the adapters add where batch row i uses slot `used[i]`, or none; None where no row has an adapter."""
        return None if all(slot is None for slot in used) else RowLora(self, used)

    @contextmanager
    def rows(self, used: Sequence[int | None]) -> Iterator[None]:
        """Let batch row i of every forward inside use slot `used[i]`, or none."""
        with self.owner.active(self.for_rows(used)):
            yield


@dataclass(frozen=True, eq=False)
class JoinedLora:
    """The adapters' matrices of projections of one width that read the same inputs, as the rows of a batch need them.

    A group is a row of the batch with its beams, or the whole batch where all rows use the same adapter. Matrices go
    no further than the highest rank among the rows.
    """

    count: int  # projections
    a: Tensor  # [groups, in, projections × rank], already scaled
    b: Tensor  # [projections × groups, rank, out]

    def add(self, inputs: Tensor, outputs: Tensor) -> None:
        """Add to `outputs` [projections, tokens, out], in place, what the adapters make of `inputs` [tokens, in].

        A group's tokens lie side by side.
        """
        groups, features, _ = self.a.shape
        inner = torch.bmm(inputs.to(self.a).view(groups, -1, features), self.a)
        if self.count > 1:
            inner = inner.unflatten(2, (self.count, -1)).permute(2, 0, 1, 3).flatten(0, 1)
        by_group = outputs.view(len(self.b), -1, outputs.shape[2])
        if outputs.dtype == self.b.dtype:
            by_group.baddbmm_(inner, self.b)
        else:
            by_group += torch.bmm(inner, self.b)

    def keep_rows(self, rows: Tensor) -> "JoinedLora":
        """Go on with these rows of the batch."""
        if len(self.a) == 1:
            return self
        rows = rows.to(self.a.device)
        kept = self.b.unflatten(0, (self.count, -1)).index_select(1, rows)
        return JoinedLora(self.count, self.a.index_select(0, rows), kept.flatten(0, 1))


class RowLora:
    """What the hooks add: each row uses its own adapter or none. Matrices are gathered once, not in each forward.

    A row without an adapter borrows some slot's matrices with a scale of zero, and so adds exact zeros.
    """

    def __init__(self, slots: LoraSlots, used: Sequence[int | None]) -> None:
        self.slots = slots
        self.groups = used[:1] if len(set(used)) == 1 else used
        self.rank = max(slots.ranks[slot] for slot in used if slot is not None)
        self._kept: dict[int, JoinedLora] = {}

    def index(self, device: torch.device) -> Tensor:
        """The slot of each group."""
        return torch.tensor([slot or 0 for slot in self.groups], device=device)

    def scales(self, device: torch.device) -> Tensor:
        """The scale of each group, [groups, 1, 1]."""
        scales = [0.0 if slot is None else self.slots.scales[slot] for slot in self.groups]
        return torch.tensor(scales, dtype=self.slots.dtype, device=device)[:, None, None]

    def matrices(self, place: int) -> tuple[Tensor, Tensor]:
        """A [groups, rank, in], scaled, and B [groups, rank, out] of the projection at that place in the owner."""
        a, b = self.slots.a[place], self.slots.b[place].transpose(1, 2)
        index = self.index(a.device)
        return a[index, : self.rank] * self.scales(a.device), b[index, : self.rank]

    def joined(self, *places: int) -> JoinedLora:
        """The matrices of projections that read the same inputs."""
        a, b = zip(*(self.matrices(place) for place in places), strict=True)
        if len(places) == 1:
            return JoinedLora(1, a[0].transpose(1, 2), b[0])
        return JoinedLora(len(places), torch.cat(a, dim=1).transpose(1, 2), torch.cat(b))

    def add(self, index: int, inputs: Tensor, output: Tensor) -> Tensor:
        if index not in self._kept:
            self._kept[index] = self.joined(index)
        self._kept[index].add(inputs.flatten(0, -2), output.view(1, -1, output.shape[-1]))
        return output


def aligned(size: int) -> int:
    """The next place from `size` elements on where a matrix may start."""
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()
