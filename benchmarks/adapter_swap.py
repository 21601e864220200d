"""How long it takes until another user's adapter is the one that serves, against peft's ways, and what memory it costs.

Ours: the adapter lies in the worker's memory (float32) and is copied into a slot that another one held, with all the
bookkeeping of the cache of slots. peft's: `load_adapter` reads a folder, makes modules and copies the weights into
them; `hotswap_adapter` reads a folder and copies the weights over those of a loaded adapter, and so does
`hotswap_adapter_from_state_dict` with weights that are in memory. What ours takes from a folder, where an adapter is
not in memory, is measured against `load_adapter` too: it reads, checks and packs the files, then copies.

That the adapters give the same answers is asserted before the clock counts. The last figure is the slope of this
process's resident memory over 10,000 swaps, each of which also loads an adapter into the bounded memory cache, where
another one has to leave. Repeat with `python -m benchmarks adapter_swap`.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count, cycle
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from peft.utils.hotswap import hotswap_adapter, hotswap_adapter_from_state_dict
from peft.utils.save_and_load import load_peft_weights

from benchmarks.figures import Figure, side_by_side
from benchmarks.serving_models import LITTLE, Workload, flan_t5_small_workload, small_workload
from workers.adapter_memory import AdapterMemory, Wanted
from workers.engine.adapter_files import read_peft_folder, write_peft_folder
from workers.engine.generation import GenerationRow, Generator
from workers.engine.serving_slots import PackedAdapter, pack
from workers.engine.slot_cache import SlotCache
from workers.engine.threads import limit_threads
from workers.engine.training import TrainedAdapter

ROUNDS = 5
OUR_CALLS = 200
SWAPS = 10_000
SAMPLES = 50
WARM_UP = 1_000
MEMORY_ADAPTERS = 12
KEPT_ADAPTERS = 4


def run() -> list[Figure]:
    limit_threads(1)
    figures: list[Figure] = []
    small = small_workload(2)
    for load in (small, flan_t5_small_workload(2)):
        with tempfile.TemporaryDirectory(prefix="lamppost-bench-") as name:
            figures += _against_peft(load, [_stored(load, user, Path(name) / str(user)) for user in range(2)])
    figures.append(_memory(small))
    return figures


def _against_peft(load: Workload, folders: list[Path]) -> list[Figure]:
    ours_of = [_read(load, folder) for folder in folders]
    _assert_same_answers(load, folders, ours_of)
    cache = SlotCache(load.base.projections, slots=1, dtype=load.base.adapter_dtype)
    cache.make_room(LITTLE.rank)
    turns, numbers = cycle(ours_of), count()
    read_turns, load_turns, swap_turns = cycle(folders), cycle(folders), cycle(folders)
    states = cycle([_as_loaded(load_peft_weights(str(folder), device="cpu"), name="0") for folder in folders])

    def from_memory() -> None:
        before = cache.snapshot().copies
        assert cache.place([next(turns)])[0].slot is not None
        assert cache.snapshot().copies == before + 1, "nothing was copied"

    def from_folder() -> None:
        assert cache.place([_read(load, next(read_turns))])[0].slot is not None

    def load_adapter() -> None:
        load.peft.load_adapter(str(next(load_turns)), adapter_name=f"loaded-{next(numbers)}")

    load.peft.set_adapter("0")
    config = load.peft.peft_config["0"]

    def hotswap() -> None:
        hotswap_adapter(load.peft, str(next(swap_turns)), adapter_name="0", torch_device="cpu")

    def hotswap_in_memory() -> None:
        hotswap_adapter_from_state_dict(load.peft, state_dict=dict(next(states)), adapter_name="0", config=config)

    suffix = "" if load.name == "small" else f"_{load.name}"
    modules = len(load.base.projections.projections)

    def figure(name: str, baseline: Callable[[], None], ours: Callable[[], None], told: str) -> Figure:
        timing = side_by_side(
            baseline, ours, rounds=ROUNDS, baseline_calls=2, our_calls=OUR_CALLS if ours is from_memory else 10
        )
        return Figure(
            name=f"{name}{suffix}",
            ratio=timing.ratio,
            median=timing.ours * 1e6,
            unit="µs a swap",
            detail=f"{load.name}, rank {LITTLE.rank}, {modules} modules, {told}: {timing.baseline * 1e3:,.2f} ms",
        )

    return [
        figure("adapter_swap_vs_hotswap", hotswap, from_memory, "memory to slot, hotswap_adapter from a folder"),
        figure(
            "adapter_swap_vs_hotswap_in_memory",
            hotswap_in_memory,
            from_memory,
            "memory to slot, hotswap_adapter_from_state_dict",
        ),
        figure("adapter_swap_vs_load_adapter", load_adapter, from_memory, "memory to slot, load_adapter from a folder"),
        figure("adapter_from_folder_vs_load_adapter", load_adapter, from_folder, "folder to slot, load_adapter"),
    ]


def _assert_same_answers(load: Workload, folders: list[Path], adapters: list[PackedAdapter]) -> None:
    prompt = load.rows[0].prompt
    rows = [GenerationRow(prompt, adapter) for adapter in adapters]
    ours = [answer.text for answer in Generator(load.base).generate(rows, max_output_tokens=load.max_output_tokens)]
    assert len(set(ours)) == len(ours), "the adapters are not told apart"
    tokens = load.base.tokenizer([prompt], return_tensors="pt")
    for folder, answer in zip(folders, ours, strict=True):
        load.peft.load_adapter(str(folder), adapter_name=f"checked-{folder.name}")
        load.peft.set_adapter(f"checked-{folder.name}")
        with torch.inference_mode():
            found = load.peft.eval().generate(
                **tokens, num_beams=4, do_sample=False, max_new_tokens=load.max_output_tokens
            )
        assert load.base.tokenizer.decode(found[0], skip_special_tokens=True) == answer, "the answers differ"


def _memory(load: Workload) -> Figure:
    """The slope of resident memory over many swaps, by least squares over evenly spaced samples."""
    # As what comes from the object store does, each load makes an adapter of its own.
    packed = pack(load.base.projections, _weights(load.rows[0].adapter))
    originals = [replace(packed, digest=f"{number}") for number in range(MEMORY_ADAPTERS)]
    size = packed.nbytes
    memory = AdapterMemory(max_bytes=KEPT_ADAPTERS * size)
    cache = SlotCache(load.base.projections, slots=2, dtype=load.base.adapter_dtype)
    cache.make_room(LITTLE.rank)
    turns = cycle(originals)
    process = psutil.Process()
    steps, resident = [], []
    for step in range(WARM_UP + SWAPS):
        original = next(turns)
        wanted = Wanted(key=(original.digest, ""), size=size, load=partial(_copy, original))
        with memory.use(wanted) as adapter:
            assert cache.place([adapter])[0].slot is not None
        if step >= WARM_UP and step % (SWAPS // SAMPLES) == 0:
            steps.append(step)
            resident.append(process.memory_info().rss)
    assert memory.snapshot().misses == cache.snapshot().copies == WARM_UP + SWAPS, "something was not swapped"
    assert memory.snapshot().bytes_held <= KEPT_ADAPTERS * size
    slope = float(np.polyfit(steps, resident, 1)[0])
    return Figure(
        name="adapter_swap_memory",
        ratio=size / max(abs(slope), 1.0),
        median=slope,
        unit="bytes a swap",
        detail=f"resident memory over {SWAPS:,} swaps, {(resident[-1] - resident[0]) / 2**20:+.2f} MiB in all, of "
        f"adapters of {size:,} bytes; the ratio is how much less that is than one adapter a swap (at most {size:,})",
    )


def _copy(adapter: PackedAdapter) -> PackedAdapter:
    return replace(adapter, parts=tuple(part.clone() for part in adapter.parts))


def _stored(load: Workload, user: int, folder: Path) -> Path:
    weights = dict(_weights(load.rows[user].adapter).tensors)
    adapter = TrainedAdapter(weights=weights, hyperparameters=LITTLE, loss_curve=[], steps=0, seconds=0.0)
    write_peft_folder(folder, adapter, load.base)
    return folder


def _read(load: Workload, folder: Path) -> PackedAdapter:
    return pack(load.base.projections, read_peft_folder(folder, base=load.base, max_bytes=1 << 30))


def _as_loaded(tensors: dict[str, torch.Tensor], *, name: str) -> dict[str, torch.Tensor]:
    """Weights under the names that peft gives an adapter's parameters."""
    return {key.removesuffix(".weight") + f".{name}.weight": tensor for key, tensor in tensors.items()}


def _weights(adapter: Any) -> Any:
    assert adapter is not None
    return adapter
