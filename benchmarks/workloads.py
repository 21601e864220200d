"""LaMP-like users for the benchmarks: profile sizes and lengths as in LaMP-7, in made-up words.

What training costs depends on how many pairs a user has and how long they are, not on what they say. So lengths come
first, in tokens, drawn from what was measured on LaMP-7; texts that a tokenizer cuts into exactly so many tokens are
made from them. Nothing of the benchmark's data is in here but quantiles.
"""

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from training_app.costs.paper import TOKENS_PER_WORD

COLD_START_DOCUMENTS = 4
# "Complete the following tweet:" (LaMP reference §5), a token a word and one for the colon.
_INSTRUCTION_TOKENS = 5


@dataclass(frozen=True)
class Quantiles:
    """A distribution by some of its quantiles, straight between them."""

    points: tuple[tuple[float, float], ...]
    """(share, value), from share 0 to share 1."""

    def at(self, share: float) -> float:
        """The value that this share of all lies below."""
        above = min(bisect_right([point[0] for point in self.points], share), len(self.points) - 1)
        (left, low), (right, high) = self.points[above - 1], self.points[above]
        return low + (high - low) * (share - left) / (right - left)


# Measured on 500 questions of LaMP-7 dev, user-based split: documents in a profile (mean 17.3 ± 12.6; the whole
# time-based split has 15.71 ± 14.86) and words of a document (16.96 ± 5.68, of 8,639), LaMP reference §2.
PROFILE_SIZES = Quantiles(
    (
        *((0.0, 9), (0.1, 9), (0.25, 10), (0.4, 12), (0.5, 13), (0.6, 15), (0.7, 18), (0.8, 22), (0.9, 29)),
        *((0.95, 41), (0.975, 53), (0.99, 64), (1.0, 151)),
    )
)
TWEET_WORDS = Quantiles(
    (
        *((0.0, 1), (0.01, 8), (0.05, 9), (0.1, 10), (0.25, 12), (0.4, 15), (0.5, 16), (0.6, 19), (0.75, 21)),
        *((0.9, 25), (0.95, 27), (0.99, 29), (1.0, 33)),
    )
)


class PairLength(NamedTuple):
    """A training pair's lengths in tokens, end tokens included."""

    source: int
    target: int


def lamp_7_users(count: int, *, seed: int = 0, most: int | None = None) -> list[list[PairLength]]:
    """The training pairs of `count` users: profile sizes spread evenly over LaMP-7's distribution, cut at `most`."""
    draw = random.Random(seed)
    sizes = [round(PROFILE_SIZES.at((user + 0.5) / count)) for user in range(count)]
    draw.shuffle(sizes)
    return [_completions(min(size, most or size), draw) for size in sizes]


def cold_start_users(count: int, *, seed: int = 0) -> list[list[PairLength]]:
    """Users with one to four tweets, as many of each."""
    draw = random.Random(seed)
    return [_completions(1 + user % COLD_START_DOCUMENTS, draw) for user in range(count)]


def _completions(count: int, draw: random.Random) -> list[PairLength]:
    """Tweets whose first 10 % to 25 % are given and whose rest is learned (LaMP reference §5)."""
    pairs = []
    for _ in range(count):
        tweet = max(2, round(TWEET_WORDS.at(draw.random()) * TOKENS_PER_WORD))
        given = max(1, int(tweet * draw.uniform(0.10, 0.25)))
        pairs.append(PairLength(_INSTRUCTION_TOKENS + given + 1, tweet - given + 1))
    return pairs


def texts(users: Sequence[Sequence[PairLength]], tokenizer: Any, *, seed: int = 0) -> list[list[tuple[str, str]]]:
    """Pairs of texts of exactly these lengths for this tokenizer, which must end a text with one token of its own."""
    draw = random.Random(seed)
    words = one_token_words(tokenizer)

    def text(tokens: int) -> str:
        return " ".join(draw.choices(words, k=tokens - 1))

    return [[(text(pair.source), text(pair.target)) for pair in pairs] for pairs in users]


def one_token_words(tokenizer: Any) -> list[str]:
    """Words that are one token wherever they stand between blanks, sorted."""
    candidates = {tokenizer.decode([token]).strip() for token in range(len(tokenizer))}
    words = sorted(word for word in candidates if word.isascii() and word.isalnum())
    twice = tokenizer([f"{word} {word}" for word in words])["input_ids"]
    return [word for word, tokens in zip(words, twice, strict=True) if len(tokens) == 3 and tokens[0] == tokens[1]]
