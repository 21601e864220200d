"""What a client may choose of how an adapter is trained: the paper's defaults, and how far one may go from them.

The bounds keep one client's training from taking a shared worker for days, and its numbers finite. What is left out
takes the paper's value, so that the same choice always names the same adapter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from lamp.tasks import FieldProblem


class InvalidHyperparameters(ValueError):
    """Some hyperparameters cannot be used; `problems` says which, and what would do."""

    def __init__(self, problems: list[FieldProblem]) -> None:
        super().__init__("; ".join(f"{problem.field} {problem.message}" for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class Bounds:
    """One hyperparameter: the paper's value, and the least and the most that it may be. Whole where the paper's is."""

    default: int | float
    least: int | float
    most: int | float

    @property
    def whole(self) -> bool:
        return isinstance(self.default, int)

    @property
    def described(self) -> str:
        """What may be written, for people."""
        return f"a {'whole ' if self.whole else ''}number from {self.least:g} to {self.most:g}"

    def problem_of(self, value: object) -> str | None:
        """What is wrong with `value`; None where nothing is."""
        allowed = int if self.whole else int | float
        if isinstance(value, bool) or not isinstance(value, allowed):
            return f"is no {'whole ' if self.whole else ''}number"
        # Compared as it is: a number of a thousand digits is no float.
        return None if self.least <= value <= self.most else "is out of bounds"


HYPERPARAMETERS: Final[Mapping[str, Bounds]] = MappingProxyType(
    {
        "rank": Bounds(8, 1, 256),
        "alpha": Bounds(32.0, 0.001, 10_000),
        "dropout": Bounds(0.1, 0.0, 0.9),
        "epochs": Bounds(50, 1, 1_000),
        "learning_rate": Bounds(5e-4, 1e-8, 1.0),
        "warmup_ratio": Bounds(0.05, 0.0, 1.0),
        "weight_decay": Bounds(1e-4, 0.0, 1.0),
        "batch_size": Bounds(16, 1, 256),
        "max_input_tokens": Bounds(512, 8, 2_048),
        "max_output_tokens": Bounds(128, 1, 512),
        "max_grad_norm": Bounds(1.0, 0.001, 1_000),
    }
)


def complete_hyperparameters(chosen: Mapping[str, Any]) -> dict[str, int | float]:
    """All hyperparameters: `chosen` where given, else the paper's. Raises `InvalidHyperparameters`.

    >>> complete_hyperparameters({"alpha": 16})["alpha"]
    16.0
    """
    problems = [
        FieldProblem(name[:100], "is no hyperparameter", f"choose among {', '.join(HYPERPARAMETERS)}")
        for name in chosen
        if name not in HYPERPARAMETERS
    ]
    for name, bounds in HYPERPARAMETERS.items():
        if name in chosen and (problem := bounds.problem_of(chosen[name])) is not None:
            problems.append(FieldProblem(name, problem, f"write {bounds.described}"))
    if problems:
        raise InvalidHyperparameters(problems)
    return {
        # 16 and 16.0 are one choice, and name one adapter.
        name: (int if bounds.whole else float)(chosen.get(name, bounds.default))
        for name, bounds in HYPERPARAMETERS.items()
    }
