"""What a cost estimate of a split tells: a row a task and rank, totals, and the assumptions in words."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from training_app.costs.estimates import MILLION, Assumptions, CostEstimate, estimate
from training_app.costs.lengths import TrainingWork
from training_app.costs.shapes import ModelShape
from training_app.costs.words import bytes_in_words

# The share of a GPU's memory that a frozen model may take, so that activations and adapters fit beside it.
_WEIGHTS_SHARE = 0.8


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What was counted, and how: `lengths` says in words what turned texts into tokens."""

    workspace: str
    dataset: str
    split: str
    work: Mapping[str, TrainingWork]
    lengths: str
    epochs: int
    batch_size: int
    max_input_tokens: int
    max_output_tokens: int


@dataclass(frozen=True)
class CostRow:
    """One line: `task` or `rank` is None where it stands for all of them."""

    task: str | None
    rank: int | None
    cost: CostEstimate


@dataclass(frozen=True, kw_only=True)
class CostReport:
    """The cost of training an adapter of each rank for every user of a split."""

    base_model: str
    shape: ModelShape
    ranks: Sequence[int]
    assumptions: Assumptions
    counted: Counted

    def rows(self) -> list[CostRow]:
        """A row for each rank and task."""
        return [
            CostRow(task, rank, estimate(self.shape, rank=rank, work=work, assumptions=self.assumptions))
            for rank in self.ranks
            for task, work in self.counted.work.items()
        ]

    def totals(self) -> list[CostRow]:
        """A row for each rank over all tasks, and where there are several one over all ranks."""
        rows = self.rows()
        totals = [
            CostRow(None, rank, sum((row.cost for row in rows if row.rank == rank), CostEstimate()))
            for rank in self.ranks
        ]
        if len(totals) > 1:
            totals.append(CostRow(None, None, sum((row.cost for row in totals), CostEstimate())))
        return totals

    def million_users(self) -> list[CostRow]:
        """A row for each rank, for a million users like the split's on average."""
        return [CostRow(None, row.rank, row.cost.for_users(MILLION)) for row in self.totals() if row.rank is not None]

    def assumptions_in_words(self) -> list[str]:
        """The formulas with the numbers that stand in them, a line each."""
        return list(_explained(self))

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        assumptions, counted = self.assumptions, self.counted
        return {
            "workspace": counted.workspace,
            "dataset": counted.dataset,
            "split": counted.split,
            "base_model": self.base_model,
            "shape": asdict(self.shape),
            "parameters": self.shape.parameters,
            "gpu": asdict(assumptions.gpu),
            "utilization": assumptions.utilization,
            "pue": assumptions.pue,
            "carbon_intensity_g_per_kwh": assumptions.carbon_intensity,
            "gradient_checkpointing": assumptions.gradient_checkpointing,
            "lengths": counted.lengths,
            "epochs": counted.epochs,
            "batch_size": counted.batch_size,
            "max_input_tokens": counted.max_input_tokens,
            "max_output_tokens": counted.max_output_tokens,
            "rows": [_as_dict(row) for row in self.rows()],
            "totals": [_as_dict(row) for row in self.totals()],
            "million_users": [_as_dict(row) for row in self.million_users()],
            "assumptions": self.assumptions_in_words(),
        }


def _as_dict(row: CostRow) -> dict[str, Any]:
    cost = row.cost
    return {
        "task": row.task,
        "rank": row.rank,
        "adapters": cost.adapters,
        "steps": cost.steps,
        "tokens": cost.tokens,
        "pflop": cost.pflop,
        "gpu_hours": cost.gpu_hours,
        "kwh": cost.kwh,
        "co2e_kg": cost.co2e_kg,
        "storage_bytes": {"bfloat16": cost.bfloat16_bytes, "float32": cost.float32_bytes},
    }


def _explained(report: CostReport) -> Iterator[str]:
    shape, assumptions, counted = report.shape, report.assumptions, report.counted
    gpu = assumptions.gpu
    weights = 2 * shape.parameters
    fitting = math.ceil(weights / (_WEIGHTS_SHARE * gpu.memory_gb * 1e9))
    beside = f"; they need {fitting} of these GPUs, whose hours are added up" if fitting > 1 else ""
    yield (
        f"Model: {report.base_model}, {shape.parameters / 1e6:,.1f} million parameters, frozen; "
        f"{bytes_in_words(weights)} in bf16 on {gpu.title} with {gpu.memory_gb:g} GB{beside}."
    )
    yield (
        f"Data: of each user the documents that all of their questions in the split may see, {counted.epochs} epochs, "
        f"batches of {counted.batch_size}. Tokens: {counted.lengths}; cut to {counted.max_input_tokens} in, "
        f"{counted.max_output_tokens} out."
    )
    rows = report.rows()
    tokens = sum(row.cost.tokens for row in rows)
    each = f" Here {sum(row.cost.flops for row in rows) / tokens / 1e9:,.3g} GFLOP a token." if tokens else ""
    yield (
        "FLOP = 2 × matrix elements a token passes × tokens + 4 × attention width × pairs of positions, forward; "
        "as much backward (attention twice), with no gradients of frozen weights and none below the first q, k, v; "
        "LoRA 3 × 2 × rank × (in + out) a token and projection; the output layer at target tokens only."
        + (" Gradient checkpointing computes the blocks once more." if assumptions.gradient_checkpointing else "")
        + each
    )
    yield (
        f"GPU hours = FLOP / ({gpu.bf16_tflops:g} TFLOP/s × {assumptions.utilization:.0%}) / 3600. Peak: dense bf16, "
        f"{gpu.source}. The share reached is an assumption, and stands for padding, memory traffic and gaps."
    )
    yield (
        f"kWh = GPU hours × {gpu.watts:g} W × PUE {assumptions.pue:g} / 1000; "
        f"kg CO₂e = kWh × {assumptions.carbon_intensity:g} g / 1000. GPUs at full power; other parts of the machines "
        "and the making of them are left out."
    )
    yield (
        f"Storage = adapters × (rank × {shape.lora_projections} × ({shape.d_model} + {shape.inner}) × 2 bytes in bf16 "
        "or 4 in float32, plus header and configuration)."
    )
