"""How many processor threads the engine may use."""

import os

import torch


def limit_threads(count: int = 1) -> None:
    """Hold torch and the tokenizers to `count` threads in this process.

    A worker shares its machine: two torch threads beside another busy process are several times slower than one.
    One thread also fixes the order of every sum, which the byte-reproducible (exact) mode rests on.
    """
    if count < 1:
        raise ValueError("at least one thread is needed")
    torch.set_num_threads(count)
    os.environ["OMP_NUM_THREADS"] = str(count)
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if count == 1 else "true"
