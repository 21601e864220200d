"""From work to GPU hours, energy, CO₂e and storage."""

from dataclasses import dataclass, fields

from training_app.costs.flops import training_flops
from training_app.costs.hardware import Gpu
from training_app.costs.lengths import TrainingWork
from training_app.costs.shapes import ModelShape
from training_app.costs.storage import adapter_bytes

# The share of the peak rate that useful operations reach; padding, memory traffic and gaps take the rest.
UTILIZATION = 0.4
# Power of the whole site over that of its computers: the average that Uptime Institute's survey of 2023 found.
PUE = 1.58
# g CO₂e/kWh: about the world's average in Ember's Global Electricity Reviews of recent years (436 to 480).
CARBON_INTENSITY = 450.0
MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """What turns operations into hours and CO₂e.

    Raises ValueError for a utilization outside 0 to 1, a PUE below 1, and a negative carbon intensity.
    """

    gpu: Gpu
    utilization: float = UTILIZATION
    pue: float = PUE
    carbon_intensity: float = CARBON_INTENSITY
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        _require(0 < self.utilization <= 1, "The utilization must be above 0 and at most 1.")
        _require(1 <= self.pue < 100, "The PUE must be at least 1.")
        _require(0 <= self.carbon_intensity < 10_000, "The carbon intensity must be between 0 and 10000 g/kWh.")


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """What training some adapters of one rank costs, or a sum of such."""

    adapters: float = 0
    steps: float = 0
    tokens: float = 0
    flops: float = 0
    gpu_hours: float = 0
    kwh: float = 0
    co2e_kg: float = 0
    bfloat16_bytes: float = 0
    float32_bytes: float = 0

    @property
    def pflop(self) -> float:
        return self.flops / 1e15

    def __add__(self, other: "CostEstimate") -> "CostEstimate":
        return CostEstimate(
            **{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)}
        )

    def for_users(self, count: int) -> "CostEstimate":
        """The same for `count` users like these, on average."""
        factor = count / self.adapters if self.adapters else 0.0
        return CostEstimate(**{field.name: getattr(self, field.name) * factor for field in fields(self)})


def estimate(shape: ModelShape, *, rank: int, work: TrainingWork, assumptions: Assumptions) -> CostEstimate:
    """The cost of training `work` with adapters of `rank` beside a frozen model of `shape`."""
    flops = training_flops(
        shape, rank=rank, tokens=work.tokens, gradient_checkpointing=assumptions.gradient_checkpointing
    ).total
    hours = gpu_hours(flops, assumptions)
    kwh = hours * assumptions.gpu.watts / 1000 * assumptions.pue
    return CostEstimate(
        adapters=work.adapters,
        steps=work.steps,
        tokens=work.tokens.tokens,
        flops=flops,
        gpu_hours=hours,
        kwh=kwh,
        co2e_kg=kwh * assumptions.carbon_intensity / 1000,
        bfloat16_bytes=work.adapters * adapter_bytes(shape, rank=rank, dtype="bfloat16"),
        float32_bytes=work.adapters * adapter_bytes(shape, rank=rank, dtype="float32"),
    )


def gpu_hours(flops: float, assumptions: Assumptions) -> float:
    """Hours of one GPU at the assumed share of its peak; spread over several, the hours of all together."""
    return flops / (assumptions.gpu.bf16_tflops * 1e12 * assumptions.utilization) / 3600


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
