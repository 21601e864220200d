"""Independent random streams from one adapter seed."""

import hashlib

import torch


def stream_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, e.g. `stream_seed(7, "shuffle", epoch)`.

    Streams of different purposes are unrelated, and none depends on how much of another was used: what is drawn for
    epoch 9 is the same whether or not epochs 0 to 8 ran in this process.
    """
    name = ":".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


def stream(seed: int, *purpose: str | int) -> torch.Generator:
    """A fresh CPU generator of that stream; the process's global generator is never touched."""
    return torch.Generator().manual_seed(stream_seed(seed, *purpose))
