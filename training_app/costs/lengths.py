"""What the cost of training depends on besides the model's shape: token lengths, and sums of them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class TokenSums:
    """Sums over training pairs of `source` and `target` lengths in tokens.

    Linear layers cost by the tokens; attention by the squares and the products of a pair's lengths. Sums are all that
    is needed, so a data set of any size is counted in constant memory.
    """

    pairs: float = 0
    source: float = 0
    target: float = 0
    source_squared: float = 0
    target_squared: float = 0
    source_by_target: float = 0

    @property
    def tokens(self) -> float:
        return self.source + self.target

    def __add__(self, other: "TokenSums") -> "TokenSums":
        return TokenSums(
            self.pairs + other.pairs,
            self.source + other.source,
            self.target + other.target,
            self.source_squared + other.source_squared,
            self.target_squared + other.target_squared,
            self.source_by_target + other.source_by_target,
        )

    def __mul__(self, factor: float) -> "TokenSums":
        return TokenSums(
            self.pairs * factor,
            self.source * factor,
            self.target * factor,
            self.source_squared * factor,
            self.target_squared * factor,
            self.source_by_target * factor,
        )


def sums_of(lengths: Iterable[tuple[int, int]]) -> TokenSums:
    """Sums over (source, target) lengths, end tokens included.

    >>> sums_of([(3, 2), (5, 1)])
    TokenSums(pairs=2, source=8, target=3, source_squared=34, target_squared=5, source_by_target=11)
    """
    pairs = source = target = source_squared = target_squared = source_by_target = 0
    for of_source, of_target in lengths:
        pairs += 1
        source += of_source
        target += of_target
        source_squared += of_source * of_source
        target_squared += of_target * of_target
        source_by_target += of_source * of_target
    return TokenSums(pairs, source, target, source_squared, target_squared, source_by_target)


@dataclass(frozen=True)
class TrainingWork:
    """Adapters to train, their optimizer steps, and the token sums over all epochs."""

    adapters: float = 0
    steps: float = 0
    tokens: TokenSums = TokenSums()

    def __add__(self, other: "TrainingWork") -> "TrainingWork":
        return TrainingWork(self.adapters + other.adapters, self.steps + other.steps, self.tokens + other.tokens)

    def __mul__(self, factor: float) -> "TrainingWork":
        return TrainingWork(self.adapters * factor, self.steps * factor, self.tokens * factor)


def work_of_user(lengths: Iterable[tuple[int, int]], *, epochs: int, batch_size: int) -> TrainingWork:
    """The training of one user's adapter; a user without pairs has none (LaMP reference §6: a partial batch is a step).

    >>> work_of_user([(3, 2)] * 20, epochs=2, batch_size=16).steps
    4
    """
    tokens = sums_of(lengths)
    if not tokens.pairs:
        return TrainingWork()
    return TrainingWork(adapters=1, steps=epochs * math.ceil(tokens.pairs / batch_size), tokens=tokens * epochs)
