"""LaMP-2: which of two fitting tags a user gives a film.

Every film shows two tags' words in equal parts, so both fit; one of them is among the two that the user likes to give,
and that one is given. The tags in the profile show which those are; the description alone leaves an even chance.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import NamedTuple

from lamp.catalogue import get_task
from lamp.pairs import pair_of
from lamp.synthetic.makers import Posed, draw_some, number_of_manners, sentence
from lamp.synthetic.traits import Traits
from lamp.synthetic.words import language, person, phrase, place

TAGS_OF_A_USER = 2

PLOTS = (
    "{who} finds {a} near {place}, {joint} {b} is {v}. The {n} and the {m} are {w}.",
    "In {place} {a} meets {b}. Soon the {n} is {v} and {who} {w} the {m}.",
    "The {n} of {who} is {v} by {b}, {joint} {a} keeps the {m} {w}.",
    "{a}, {b} and a {n}: {who} has {v} them all, {joint} the {m} of {place} {w}.",
    "A {n} called {who} {v} {a}. Years later {b} {w} the {m}.",
)
JOINTS = ("while", "and", "until", "before", "because", "just as", "where")


class Preference(NamedTuple):
    """Of two tags that both fit, the one that is given before the other."""

    given: str
    over: str


class Films:
    """Makes film lovers and the films they tagged."""

    def draw(self, rng: random.Random) -> Traits:
        return {"favourites": draw_some(rng, get_task("LaMP-2").labels or (), TAGS_OF_A_USER)}

    def manners(self, rng: random.Random, *, side_by_side: bool) -> tuple[Traits, ...]:
        """Side by side: of three tags each is given before one of the others, so that only a film of the same two says
        which. One after the other: of two tags the one, and then the other.
        """
        tags = draw_some(rng, get_task("LaMP-2").labels or (), number_of_manners(side_by_side=side_by_side))
        return tuple(
            {"favourites": Preference(given, over)} for given, over in zip(tags, (*tags[1:], tags[0]), strict=True)
        )

    def document(self, rng: random.Random, traits: Traits) -> Mapping[str, str]:
        given, _, description = self._film(rng, traits)
        return {"description": description, "tag": given}

    def question(self, rng: random.Random, traits: Traits, *, own: Traits, strength: float) -> Posed:
        given, other, description = self._film(rng, traits)
        # Where both tags or neither are the user's own, the order of the labels decides.
        liked = _liked(own)
        fitting = sorted({given, other}, key=lambda tag: (tag not in liked, tag))
        asked, gold = pair_of(get_task("LaMP-2"), {"description": description, "tag": given})
        return Posed(asked, gold, fitting[0])

    def _film(self, rng: random.Random, traits: Traits) -> tuple[str, str, str]:
        """(the tag that is given, the other that fits, the description)"""
        liked = _liked(traits)
        given = rng.choice(liked)
        if isinstance(traits["favourites"], Preference):
            other = traits["favourites"].over
        else:
            other = rng.choice([tag for tag in get_task("LaMP-2").labels or () if tag not in liked])
        return given, other, self._plot(rng, [given, other])

    def _plot(self, rng: random.Random, tags: list[str]) -> str:
        rng.shuffle(tags)
        one, other = (language().tags[tag] for tag in tags)
        return sentence(
            rng.choice(PLOTS).format(
                a=phrase(rng, one),
                b=phrase(rng, other),
                n=rng.choice(one.nouns),
                m=rng.choice(other.nouns),
                v=rng.choice(one.verbs),
                w=rng.choice(other.verbs),
                who=person(rng),
                place=place(rng),
                joint=rng.choice(JOINTS),
            )
        )


def _liked(traits: Traits) -> tuple[str, ...]:
    """The tags that are given where they fit."""
    favourites: tuple[str, ...] | Preference = traits["favourites"]
    return (favourites.given,) if isinstance(favourites, Preference) else favourites
