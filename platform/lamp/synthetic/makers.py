"""What a task's maker offers: traits, documents, and questions with their golds."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from lamp.synthetic.traits import Traits

Item = TypeVar("Item")


class Posed(NamedTuple):
    """A question in LaMP's form and its gold answer."""

    input: str
    output: str


class Maker(Protocol):
    """Makes users' texts for one task; every draw comes from the given generator."""

    def draw(self, rng: random.Random) -> Traits:
        """Traits of a fresh user."""
        ...

    def document(self, rng: random.Random, traits: Traits) -> Mapping[str, str]:
        """A document's fields, without id and date."""
        ...

    def question(self, rng: random.Random, traits: Traits) -> Posed:
        """A question and the answer that a user with these traits gives."""
        ...


def interest(rng: random.Random, traits: Traits) -> int:
    """Which of the user's interests this text is about: a place in `traits["interests"]` and in what goes with it."""
    return rng.randrange(len(traits["interests"]))


def sentence(words: str) -> str:
    """With a capital first letter; the rest as it is."""
    return words[:1].upper() + words[1:]


def draw_some(rng: random.Random, items: Sequence[Item], count: int) -> tuple[Item, ...]:
    """`count` different items in random order."""
    return tuple(rng.sample(items, count))
