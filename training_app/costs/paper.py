"""The paper's experiment as work to be costed: LaMP's published lengths and profile sizes.

LaMP reference §2 gives means and standard deviations in words; what a training pair is made of follows §5. Lengths are
taken as log-normal with that mean and deviation and cut at the limits of §6, and words become tokens at a fixed ratio.
So this is right in its order of magnitude, not to the percent: a dataset at hand is counted instead
(`manage.py estimate_cost`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

from training_app.costs.lengths import TokenSums, TrainingWork

END_USERS = 9_390
RANKS = (8, 16, 32, 64)
GPU_HOURS = 10_000
"""“More than”, on A100s."""

# Tokens a word of English that is split at blanks, punctuation included, by T5's tokenizer.
TOKENS_PER_WORD = 1.4


@dataclass(frozen=True)
class Words:
    """Mean and standard deviation of a length in words."""

    mean: float
    deviation: float = 0.0

    def plus(self, words: float) -> "Words":
        """With so many fixed words beside."""
        return Words(self.mean + words, self.deviation)

    def times(self, share: float) -> "Words":
        return Words(self.mean * share, self.deviation * share)


@dataclass(frozen=True)
class PublishedTask:
    """One task: how many questions its test split has, its mean profile, and a training pair's lengths."""

    test_questions: int
    profile: float
    source: Words
    target: Words


_TAG = Words(1.5)
_SCORE = Words(1)
_TITLE = Words(9.71, 3.21)
_ABSTRACT = Words(162.34 - 10, 65.63)  # less the question's own words
_TWEET = Words(16.96, 5.67)

TASKS: Mapping[str, PublishedTask] = {
    "LaMP-1": PublishedTask(1500, 84.15, _TITLE.plus(6), _ABSTRACT),
    "LaMP-2": PublishedTask(1557, 86.76, Words(92.39, 21.95), _TAG),
    "LaMP-3": PublishedTask(2500, 185.40, Words(128.18, 146.25), _SCORE),
    "LaMP-4": PublishedTask(1800, 204.59, Words(29.97, 12.09), Words(10.07, 3.10)),
    "LaMP-5": PublishedTask(1500, 87.88, Words(162.34, 65.63), _TITLE),
    "LaMP-6": PublishedTask(1250, 55.67, Words(454.87, 889.41), Words(7.37, 2.78)),
    # 10 to 25 % of the tweet's words are given, the rest is learned.
    "LaMP-7": PublishedTask(1500, 15.71, _TWEET.times(0.175).plus(4), _TWEET.times(0.825)),
}


def user_work(
    task: str,
    *,
    epochs: int = 50,
    batch_size: int = 16,
    max_input_tokens: int = 512,
    max_output_tokens: int = 128,
    tokens_per_word: float = TOKENS_PER_WORD,
) -> TrainingWork:
    """The training of one average user's adapter for a task of LaMP."""
    published = TASKS[task]
    source, source_squared = _cut(published.source, limit=max_input_tokens, tokens_per_word=tokens_per_word)
    target, target_squared = _cut(published.target, limit=max_output_tokens, tokens_per_word=tokens_per_word)
    one = TokenSums(1, source, target, source_squared, target_squared, source * target)
    return TrainingWork(
        adapters=1,
        steps=epochs * math.ceil(published.profile / batch_size),
        tokens=one * (published.profile * epochs),
    )


def paper_work() -> TrainingWork:
    """One rank of the paper: 9,390 users, spread over the tasks as the questions of the test split are."""
    questions = sum(task.test_questions for task in TASKS.values())
    work = TrainingWork()
    for key, task in TASKS.items():
        work += user_work(key) * (END_USERS * task.test_questions / questions)
    return work


def _cut(words: Words, *, limit: int, tokens_per_word: float) -> tuple[float, float]:
    """Mean length and mean square in tokens, end token included, where longer ones are cut at `limit`."""
    mean, deviation = words.mean * tokens_per_word, words.deviation * tokens_per_word
    room = limit - 1
    if deviation == 0:
        length = min(mean, room) + 1
        return length, length**2
    variance = math.log1p((deviation / mean) ** 2)
    sigma, centre = math.sqrt(variance), math.log(mean) - variance / 2
    normal = NormalDist()
    at = (math.log(room) - centre) / sigma
    longer = 1 - normal.cdf(at)
    first = mean * normal.cdf(at - sigma) + room * longer
    second = (mean**2 + deviation**2) * normal.cdf(at - 2 * sigma) + room**2 * longer
    return first + 1, second + 2 * first + 1
