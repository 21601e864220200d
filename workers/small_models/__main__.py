"""Rebuilds the small models: `python -m workers.small_models [--out DIR] [--only t5|encoder|selector] [--smoke]`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import logging

from retrieval_app.selection import POST, PRE
from workers.small_models.building import build_encoder, build_selectors, build_t5
from workers.small_models.recipe import FULL, MODELS, SMOKE

HERE = Path(__file__).parent


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m workers.small_models", description=__doc__)
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE,
        help="where the folders t5/, encoder/ and selector_…/ go (default: this package)",
    )
    parser.add_argument("--checkpoints", type=Path, default=Path("var/small_models"), help="default: %(default)s")
    parser.add_argument("--only", choices=MODELS, help="build one of them; the selectors need the others")
    parser.add_argument("--smoke", action="store_true", help="a few steps, to see that the recipe runs")
    options = parser.parse_args(arguments)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Batches have many shapes, and the default keeps the prepared code of a thousand of them: gigabytes.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    recipe = SMOKE if options.smoke else FULL
    options.checkpoints.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.only in (None, "t5"):
        build_t5(
            recipe,
            folder=options.out / "t5",
            checkpoint=options.checkpoints / "t5.safetensors",
            on_step=_progress("t5"),
        )
    if options.only in (None, "encoder"):
        build_encoder(
            recipe,
            folder=options.out / "encoder",
            checkpoint=options.checkpoints / "encoder.safetensors",
            on_step=_progress("encoder"),
        )
    if options.only in (None, "selector"):
        build_selectors(
            recipe,
            folders={reads: options.out / f"selector_{reads}" for reads in (PRE, POST)},
            t5=options.out / "t5",
            encoder=options.out / "encoder",
            checkpoints=options.checkpoints,
            on_part=_tell_part,
            on_step=lambda reads: _progress(f"selector {reads}"),
        )


def _tell_part(part: str, questions: int) -> None:
    sys.stdout.write(f"feedback: {questions} questions of {part}\n")
    sys.stdout.flush()


def _progress(name: str, every: int = 20) -> Callable[[int, float], None]:
    """Tells the mean loss of the last steps now and then."""
    begun = time.monotonic()
    losses: list[float] = []

    def on_step(step: int, loss: float) -> None:
        losses.append(loss)
        if step % every == 0:
            mean = sum(losses) / len(losses)
            sys.stdout.write(f"{name}: step {step}, loss {mean:.3f}, {time.monotonic() - begun:.0f} s\n")
            sys.stdout.flush()
            losses.clear()

    return on_step


if __name__ == "__main__":
    main()
