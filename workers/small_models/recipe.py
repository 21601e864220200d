"""The numbers of the recipe: sizes of the models, length of the training, seeds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

MODELS = ("t5", "encoder", "selector")


@dataclass(frozen=True)
class Part:
    """A stretch of the T5's training: `rate` is what it takes of the learning rates, which rise over the warm-up, stay,
    and fall by a cosine from the share `falls_from` of its steps. `users`: of these tasks so many users for each one of
    another.
    """

    steps: int
    rate: float
    falls_from: float
    users: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Setting:
    """How a synthetic crowd is made: the arguments of that name of `lamp synthesize`."""

    strength: float
    drift: float
    manners: float = 0.0

    def __str__(self) -> str:
        return f"strength {self.strength:g}, drift {self.drift:g}, manners {self.manners:g}"


@dataclass(frozen=True)
class Crowd:
    """So many users of each task, made alike."""

    setting: Setting
    users: int


class Teacher(StrEnum):
    """Whom the selectors learn from in a round: `TUTOR` (`selector_tutor`), or the feedback itself."""

    TUTOR = "tutor"
    EVEN_TUTOR = "even tutor"
    """The tutor, with tasks in which it sees less between the candidates made to weigh as much as the others."""
    FEEDBACK = "feedback"


@dataclass(frozen=True)
class Round:
    """A stretch of the selectors' training by the platform's own trainer, at a share of the learning rate."""

    teacher: Teacher
    epochs: int
    rate: float


@dataclass(frozen=True)
class Recipe:
    """How the models are built; the same recipe gives the same models on the same machine."""

    seed: int = 1
    vocabulary: int = 1536
    tokenizer_users: int = 150

    t5_parts: tuple[Part, ...] = (
        Part(steps=4000, rate=1.0, falls_from=0.5),
        # Tasks that are answered by a label go up and down at the full rate, and settle at a lower one.
        Part(steps=3000, rate=0.4, falls_from=0.0, users=(("LaMP-1", 3), ("LaMP-2", 3), ("LaMP-3", 3))),
        # What comes last: to read a user's tags off the prompt.
        Part(steps=1200, rate=0.4, falls_from=0.5, users=(("LaMP-2", 6), ("LaMP-3", 2))),
    )
    t5_batch: int = 32
    t5_matrix_learning_rate: float = 3e-3
    t5_learning_rate: float = 2e-3
    t5_warmup: int = 100  # steps as each part begins
    # Entries in a prompt as training goes on: from this step, so many.
    t5_entries: tuple[tuple[int, int], ...] = ((0, 2), (400, 4))
    t5_label_weight: float = 4.0  # of answers that are labels: texts have more tokens to learn from

    encoder_steps: int = 600
    encoder_batch: int = 64
    encoder_learning_rate: float = 1e-3
    encoder_users: int = 400
    encoder_temperature: float = 0.05

    # Crowds that the selectors' feedback is about.
    selector_crowds: tuple[Crowd, ...] = (
        Crowd(Setting(strength=1.0, drift=0.5, manners=1.0), users=1500),
        Crowd(Setting(strength=0.9, drift=0.5, manners=1.0), users=300),
        Crowd(Setting(strength=1.0, drift=0.5), users=200),
    )
    selector_people: int = 7  # their seed, among those for training; the small T5's users have another
    selector_picked_every: int = 15  # every so many users one is kept to pick the best step by
    selector_learning_rate: float = 1e-3
    selector_counting_steps: int = 600
    selector_counting_batch: int = 32
    selector_comparing_steps: int = 1200
    selector_comparing_batch: int = 32
    selector_label_temperature: float = 0.1  # utilities of texts differ by a tenth or less
    selector_batch: int = 16
    # Once they can count and compare.
    selector_rounds: tuple[Round, ...] = (
        Round(Teacher.TUTOR, epochs=4, rate=0.5),
        Round(Teacher.FEEDBACK, epochs=1, rate=0.1),
        Round(Teacher.EVEN_TUTOR, epochs=2, rate=0.25),
        Round(Teacher.FEEDBACK, epochs=1, rate=0.1),
    )
    selector_mean_from: int = 1  # counted from 0: what this round and those after it reach is averaged
    selector_validations: int = 4  # a round

    pool_batches: int = 32  # samples are made and sorted by length this many batches at a time
    checkpoint_steps: int = 100
    measured_users: int = 80
    measured_selector_users: int = 200

    def part(self, model: str) -> str:
        """The numbers that decide one model ("t5", "encoder" or "selector"), as text: a checkpoint belongs to them."""
        others = (*(f"{name}_" for name in MODELS if name != model), "measured_")
        return repr({name: value for name, value in asdict(self).items() if not name.startswith(others)})

    @property
    def t5_steps(self) -> int:
        """All steps of the T5's training."""
        return sum(part.steps for part in self.t5_parts)

    def t5_part_at(self, step: int) -> tuple[Part, int]:
        """The part that a step of the T5's training belongs to, and the number of the step in it."""
        for part in self.t5_parts:
            if step < part.steps:
                return part, step
            step -= part.steps
        raise ValueError("The T5's training has ended before that step.")

    def entries_at(self, step: int) -> int:
        """How many documents stand in a prompt at this step."""
        return max(count for first, count in self.t5_entries if step >= first)


FULL = Recipe()
SMOKE = Recipe(
    vocabulary=600,
    tokenizer_users=3,
    t5_parts=(Part(steps=4, rate=1.0, falls_from=0.5), Part(steps=3, rate=0.4, falls_from=0.0, users=(("LaMP-2", 3),))),
    t5_batch=4,
    t5_warmup=2,
    encoder_steps=4,
    encoder_batch=4,
    encoder_users=2,
    selector_crowds=(Crowd(Setting(strength=0.9, drift=0.8, manners=0.5), users=2),),
    selector_picked_every=2,
    selector_counting_steps=3,
    selector_counting_batch=4,
    selector_comparing_steps=3,
    selector_comparing_batch=4,
    selector_rounds=(
        Round(Teacher.TUTOR, epochs=1, rate=0.5),
        Round(Teacher.EVEN_TUTOR, epochs=1, rate=0.5),
        Round(Teacher.FEEDBACK, epochs=1, rate=0.1),
    ),
    selector_batch=2,
    selector_validations=1,
    pool_batches=3,
    checkpoint_steps=2,
    measured_users=2,
    measured_selector_users=2,
)
