"""GPUs by their manufacturer's data sheets."""

from dataclasses import dataclass


class UnknownGpu(LookupError):
    """No GPU of that name is in the table; the message says which are."""


@dataclass(frozen=True)
class Gpu:
    """A board: dense bf16 rate (float32 accumulation, no sparsity), memory, and power at its limit."""

    name: str
    title: str
    bf16_tflops: float
    memory_gb: float
    watts: float
    source: str


_GPUS = (
    Gpu("a100-40gb", "A100 SXM 40 GB", 312, 40, 400, "NVIDIA's A100 data sheet"),
    Gpu("a100-80gb", "A100 SXM 80 GB", 312, 80, 400, "NVIDIA's A100 data sheet"),
    Gpu("h100", "H100 SXM", 989, 80, 700, "NVIDIA's H100 data sheet, half of the rate with sparsity"),
    Gpu("h200", "H200 SXM", 989, 141, 700, "NVIDIA's H200 data sheet, half of the rate with sparsity"),
    Gpu("l4", "L4", 121, 24, 72, "NVIDIA's L4 data sheet, half of the rate with sparsity"),
    Gpu("l40s", "L40S", 362, 48, 350, "NVIDIA's L40S data sheet"),
    Gpu("rtx-4090", "GeForce RTX 4090", 165, 24, 450, "NVIDIA's Ada architecture white paper"),
)
GPUS = {gpu.name: gpu for gpu in _GPUS}


def gpu_by_name(name: str) -> Gpu:
    """The GPU of that name, whatever its case; raises `UnknownGpu`."""
    gpu = GPUS.get(name.strip().lower())
    if gpu is None:
        raise UnknownGpu(f"There is no GPU “{name}” in the table. There are: {', '.join(GPUS)}.")
    return gpu
