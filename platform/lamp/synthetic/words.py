"""The words of the synthetic benchmark: an invented language inside plain English frames.

Every subject and every LaMP-2 tag has a vocabulary of its own, grown from a few invented roots ("mirel" gives
"mirelum", "mirelic", "mireled"), so that a word tells its subject to a reader who knows the roots and to no one else.
Names of people and places are put together freshly each time. Nothing here is taken from a word list with a license.

The language is the same for every seed: it is what a model can learn in general. What differs is the users
(`traits`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from lamp.catalogue import get_task

ONSETS = (
    *(
        "b",
        "br",
        "d",
        "dr",
        "f",
        "fl",
        "g",
        "gl",
        "gr",
        "h",
        "j",
        "k",
        "kl",
        "kr",
        "l",
        "m",
        "n",
        "p",
        "pl",
        "pr",
        "qu",
    ),
    *("r", "s", "sk", "sl", "st", "t", "tr", "v", "vr", "w", "y", "z", "ch", "sh", "th"),
)
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
CODAS = (
    "b",
    "d",
    "g",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "x",
    "ld",
    "lm",
    "ng",
    "nt",
    "rk",
    "rn",
    "sk",
    "st",
    "th",
)

NOUN_ENDINGS = ("um", "ora", "eth", "ine", "age", "oon", "ist", "ium", "ane", "ule")
ADJECTIVE_ENDINGS = ("ic", "al", "ous", "ish")
VERB_ENDINGS = ("ed", "ated", "ised")
NAME_ENDINGS = ("ak", "ell", "ino", "off", "ovic", "sen", "ter", "ulian", "wick", "yas")
PLACE_ENDINGS = ("ville", "burg", "ford", "mere", "haven", "stead")

SUBJECTS = 40
ROOTS_OF_A_SUBJECT = 5
SYLLABLES_OF_NAMES = 100

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

# How well a reviewer liked it, from 1 to 5: the words of each grade.
PRAISE: tuple[tuple[str, ...], ...] = (
    ("dreadful", "awful", "terrible", "useless", "horrid", "ruined", "worthless", "broken"),
    ("poor", "weak", "flimsy", "dull", "lacking", "shoddy", "tired", "clumsy"),
    ("fair", "average", "plain", "passable", "ordinary", "middling", "usual", "so-so"),
    ("good", "solid", "pleasant", "neat", "handy", "reliable", "sound", "likeable"),
    ("superb", "perfect", "wonderful", "brilliant", "flawless", "splendid", "stunning", "marvellous"),
)


@dataclass(frozen=True)
class Vocabulary:
    """The words by which one subject (or one tag) is told from another."""

    nouns: tuple[str, ...]
    adjectives: tuple[str, ...]
    verbs: tuple[str, ...]


@dataclass(frozen=True)
class Language:
    """The invented language: `subjects` are numbered, `tags` are those of LaMP-2."""

    subjects: tuple[Vocabulary, ...]
    tags: dict[str, Vocabulary]
    names: tuple[str, ...]  # the first syllables of people's and places' names


@cache
def language() -> Language:
    """The one language of every benchmark, about 2,900 invented words."""
    rng = random.Random("the lamppost language")  # noqa: S311 - a generator of text, not of secrets
    roots = [onset + vowel + coda for onset in ONSETS for vowel in VOWELS for coda in CODAS]
    rng.shuffle(roots)
    labels = get_task("LaMP-2").labels or ()
    stock = iter(roots)
    grown = [_grow(rng, [next(stock) for _ in range(ROOTS_OF_A_SUBJECT)]) for _ in range(SUBJECTS + len(labels))]
    return Language(
        subjects=tuple(grown[:SUBJECTS]),
        tags=dict(zip(labels, grown[SUBJECTS:], strict=True)),
        names=tuple(next(stock) for _ in range(SYLLABLES_OF_NAMES)),
    )


def _grow(rng: random.Random, roots: Sequence[str]) -> Vocabulary:
    def words(endings: Sequence[str], count: int) -> tuple[str, ...]:
        return tuple(rng.sample(sorted({root + ending for root in roots for ending in endings}), count))

    return Vocabulary(
        nouns=words(NOUN_ENDINGS, 30), adjectives=words(ADJECTIVE_ENDINGS, 14), verbs=words(VERB_ENDINGS, 10)
    )


def person(rng: random.Random) -> str:
    """A family name, one of some thousand."""
    names = language().names
    return (rng.choice(names) + rng.choice(NAME_ENDINGS)).capitalize()


def place(rng: random.Random) -> str:
    """The name of a town, one of some hundred."""
    names = language().names
    return (rng.choice(names) + rng.choice(PLACE_ENDINGS)).capitalize()


def phrase(rng: random.Random, subject: Vocabulary) -> str:
    """An adjective and a noun of the subject: "mirelic vosketh"."""
    return f"{rng.choice(subject.adjectives)} {rng.choice(subject.nouns)}"
