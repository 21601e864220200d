"""What a run or an adapter records of where it was made, so that it can be repeated."""

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.conf import settings

from common.version import VERSION

_PACKAGES = ("torch", "transformers", "peft", "tokenizers", "numpy", "rank_bm25", "rouge_score", "Django")


@cache
def versions() -> dict[str, str]:
    """Version by package of what decides results, and Python's own."""
    found = {"python": platform.python_version(), "lamppost": VERSION}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def hardware() -> dict[str, Any]:
    """The machine: architecture, processor, cores, and the accelerator where one is used."""
    found: dict[str, Any] = {
        "machine": platform.machine(),
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }
    try:
        import torch
    except ImportError:
        return found
    found["threads"] = torch.get_num_threads()
    if torch.cuda.is_available():
        found["accelerator"] = torch.cuda.get_device_name()
    return found


def hardware_of_models() -> dict[str, Any]:
    """`hardware`, in a process that may not have loaded a model yet: with the threads that models use here."""
    from workers.engine.threads import limit_threads

    limit_threads(settings.MODEL_THREADS)
    return hardware()


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        return platform.processor()
