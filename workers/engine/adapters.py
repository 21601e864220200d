"""One user's LoRA weights as values, independent of where they come from or run."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

PREFIX = "base_model.model."


def lora_a_key(projection: str) -> str:
    """The name peft gives matrix A, shape [rank, in], beside the projection of that module path."""
    return f"{PREFIX}{projection}.lora_A.weight"


def lora_b_key(projection: str) -> str:
    """The name peft gives matrix B, shape [out, rank]."""
    return f"{PREFIX}{projection}.lora_B.weight"


@dataclass(frozen=True, eq=False)
class AdapterWeights:
    """An immutable adapter: two matrices a projection, scaled by alpha / rank.

    `digest` names the content (sha256, hexadecimal): two adapters of the same digest are the same adapter, so
    serving may keep it in a slot and never serve a stale one.
    """

    tensors: Mapping[str, Tensor] = field(repr=False)
    rank: int
    alpha: float
    digest: str

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors.values())

    @contextmanager
    def held(self) -> Iterator["AdapterWeights"]:
        """As whatever has adapters is asked for them: this one is in memory already."""
        yield self


def adapter_weights(tensors: Mapping[str, Tensor], *, rank: int, alpha: float) -> AdapterWeights:
    """Weights that are in memory only, named by the digest of their values."""
    content = hashlib.sha256(f"{rank}:{float(alpha)!r}".encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        content.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        content.update(tensor.view(torch.uint8).numpy().tobytes())
    return AdapterWeights(tensors=dict(tensors), rank=rank, alpha=alpha, digest=content.hexdigest())
