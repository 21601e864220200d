"""What decides an adapter besides its documents, its base model and its seed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

MAX_RANK = 256


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The paper's training defaults (LaMP reference §6)."""

    rank: int = 8
    alpha: float = 32.0
    dropout: float = 0.1
    epochs: int = 50
    learning_rate: float = 5e-4
    warmup_ratio: float = 0.05
    weight_decay: float = 1e-4
    batch_size: int = 16
    max_input_tokens: int = 512
    max_output_tokens: int = 128
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        _require(1 <= self.rank <= MAX_RANK, f"rank must be between 1 and {MAX_RANK}")
        _require(0 < self.alpha < float("inf"), "alpha must be positive")
        _require(0 <= self.dropout < 1, "dropout must be at least 0 and below 1")
        _require(self.epochs >= 1, "epochs must be at least 1")
        _require(0 < self.learning_rate < float("inf"), "learning_rate must be positive")
        _require(0 <= self.warmup_ratio <= 1, "warmup_ratio must be between 0 and 1")
        _require(0 <= self.weight_decay < float("inf"), "weight_decay must not be negative")
        _require(self.batch_size >= 1, "batch_size must be at least 1")
        _require(self.max_input_tokens >= 1, "max_input_tokens must be at least 1")
        _require(self.max_output_tokens >= 1, "max_output_tokens must be at least 1")
        _require(0 < self.max_grad_norm < float("inf"), "max_grad_norm must be positive")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`; fields left out take their defaults. Raises ValueError on an unknown one."""
        unknown = set(values) - {field.name for field in fields(cls)}
        _require(not unknown, f"unknown hyperparameters: {', '.join(sorted(unknown))}")
        return cls(**values)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
