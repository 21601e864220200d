"""What a task's maker offers: traits, documents, and questions with their golds."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from lamp.synthetic.traits import Draw, Traits

Item = TypeVar("Item")


class Posed(NamedTuple):
    """A question in LaMP's form, its gold answer, and what an oracle answers.

    The oracle sees what stands in the question and knows the user's traits at that time. It does not know whether
    this once the user wrote as a passer-by would (`traits.mood`), which is why it is not always right.
    """

    input: str
    output: str
    oracle: str


class Maker(Protocol):
    """Makes users' texts for one task; every draw comes from the given generator."""

    def draw(self, rng: random.Random) -> Traits:
        """Traits of a fresh user."""
        ...

    def manners(self, rng: random.Random, *, side_by_side: bool) -> tuple[Traits, ...]:
        """Traits of one who has several manners (`number_of_manners`): side by side, each for what it is about; or two,
        of which the second comes after the first about the same things.
        """
        ...

    def document(self, rng: random.Random, traits: Traits) -> Mapping[str, str]:
        """A document's fields, without id and date."""
        ...

    def question(self, rng: random.Random, traits: Traits, *, own: Traits, strength: float) -> Posed:
        """A question, the answer that one with `traits` gives, and that of an oracle which knows that the asked
        user's `own` traits decide with the probability `strength`.
        """
        ...


def number_of_manners(*, side_by_side: bool) -> int:
    """How many manners one has who has several."""
    return 3 if side_by_side else 2


def manners_by_subject(rng: random.Random, draw: Draw, *, side_by_side: bool) -> tuple[Traits, ...]:
    """Manners of which each has one subject: side by side one of its own, one after the other the same."""
    drawn = [draw(rng) for _ in range(number_of_manners(side_by_side=side_by_side))]
    subjects = [one["interests"][0] if side_by_side else drawn[0]["interests"][0] for one in drawn]
    return tuple(
        {**one, "interests": (subject,) * len(one["interests"])} for one, subject in zip(drawn, subjects, strict=True)
    )


def chosen_subject(rng: random.Random, traits: Traits) -> int:
    """Which of the user's subjects a text is about."""
    subject: int = rng.choice(traits["interests"])
    return subject


def place_of(subject: int, traits: Traits) -> int:
    """Where a subject stands in a user's interests; the first place for one that is none of them."""
    interests: Sequence[int] = traits["interests"]
    return interests.index(subject) if subject in interests else 0


def sentence(words: str) -> str:
    """With a capital first letter; the rest as it is."""
    return words[:1].upper() + words[1:]


def draw_some(rng: random.Random, items: Sequence[Item], count: int) -> tuple[Item, ...]:
    """`count` different items in random order."""
    return tuple(rng.sample(items, count))
