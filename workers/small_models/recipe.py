"""The numbers of the recipe: sizes of the models, length of the training, seeds."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Recipe:
    """How both models are built; the same recipe gives the same models on the same machine."""

    seed: int = 1
    vocabulary: int = 1536
    tokenizer_users: int = 150

    t5_steps: int = 5000
    t5_batch: int = 32
    t5_matrix_learning_rate: float = 3e-3
    t5_learning_rate: float = 2e-3
    t5_warmup: int = 100
    # Entries in a prompt as training goes on: from this share of the steps, so many.
    t5_entries: tuple[tuple[float, int], ...] = ((0.0, 2), (0.1, 4))
    t5_late: float = 0.5  # from this share of the steps the rate falls
    t5_label_weight: float = 4.0  # of answers that are labels: texts have more tokens to learn from
    # Then so many steps more, mostly of the tasks that are answered by a label, at this part of the rates.
    t5_label_steps: int = 3000
    t5_label_rate: float = 0.4

    encoder_steps: int = 600
    encoder_batch: int = 64
    encoder_learning_rate: float = 1e-3
    encoder_users: int = 400
    encoder_temperature: float = 0.05

    pool_batches: int = 32  # samples are made and sorted by length this many batches at a time
    checkpoint_steps: int = 100
    measured_users: int = 80

    def part(self, model: str) -> str:
        """The numbers that decide one model ("t5" or "encoder"), as text: a checkpoint belongs to them."""
        others = ("encoder_" if model == "t5" else "t5_", "measured_")
        return repr({name: value for name, value in asdict(self).items() if not name.startswith(others)})

    @property
    def t5_all_steps(self) -> int:
        return self.t5_steps + self.t5_label_steps

    def entries_at(self, step: int) -> int:
        """How many documents stand in a prompt at this step."""
        return max(count for share, count in self.t5_entries if step >= share * self.t5_steps)


FULL = Recipe()
SMOKE = Recipe(
    vocabulary=600,
    tokenizer_users=3,
    t5_steps=4,
    t5_batch=4,
    t5_warmup=2,
    t5_label_steps=3,
    encoder_steps=4,
    encoder_batch=4,
    encoder_users=2,
    pool_batches=3,
    checkpoint_steps=2,
    measured_users=2,
)
