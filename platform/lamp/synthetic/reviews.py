"""LaMP-3: how many points a review stands for, told by how harsh or mild its writer is.

The words say how well the thing was liked (1 to 5, mostly middling); the reviewer's leaning moves the score up or down.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from statistics import median_low

from lamp.catalogue import get_task
from lamp.pairs import pair_of
from lamp.synthetic.makers import Posed, chosen_subject, draw_some, manners_by_subject, sentence
from lamp.synthetic.traits import Traits
from lamp.synthetic.words import PRAISE, SUBJECTS, language, phrase

SORTS_OF_A_REVIEWER = 2
LEANINGS = (-2, -1, 0, 1, 2)
LIKED = (2, 3, 3, 3, 4)  # things are liked middling, so that a leaning has room to show

REMARKS = (
    "The {n} is {p} and the {m} {v} {q}.",
    "I found this {a} {p}, its {n} rather {q}.",
    "{p} {n}, {q} {m}.",
    "After {count} {time} the {n} still feels {p}.",
    "My {who} calls the {a} {q}.",
    "It {v} at once, a {p} thing with a {q} {n}.",
    "Bought it for my {who}: {p} in all, {q} when {v}.",
)
TIMES = ("days", "weeks", "months", "years")
WHO = ("sister", "brother", "father", "mother", "neighbour", "boss", "cousin", "friend", "teacher", "uncle")


class Reviews:
    """Makes reviewers and their reviews."""

    def draw(self, rng: random.Random) -> Traits:
        return {
            "interests": draw_some(rng, range(SUBJECTS), SORTS_OF_A_REVIEWER),
            "leaning": rng.choice(LEANINGS),
        }

    def manners(self, rng: random.Random, *, side_by_side: bool) -> tuple[Traits, ...]:
        return manners_by_subject(rng, self.draw, side_by_side=side_by_side)

    def document(self, rng: random.Random, traits: Traits) -> Mapping[str, str]:
        liked, text = self._opinion(rng, traits)
        return {"text": text, "score": str(points(liked, traits["leaning"]))}

    def question(self, rng: random.Random, traits: Traits, *, own: Traits, strength: float) -> Posed:
        liked, text = self._opinion(rng, traits)
        asked, gold = pair_of(get_task("LaMP-3"), {"text": text, "score": str(points(liked, traits["leaning"]))})
        return Posed(asked, gold, str(likeliest_points(liked, own["leaning"], strength=strength)))

    def _opinion(self, rng: random.Random, traits: Traits) -> tuple[int, str]:
        sort = chosen_subject(rng, traits)
        liked = rng.choice(LIKED)
        return liked, self._review(rng, sort, liked)

    def _review(self, rng: random.Random, sort: int, liked: int) -> str:
        subject = language().subjects[sort]
        said = []
        for remark in rng.sample(REMARKS, 2):
            praise, more = rng.sample(PRAISE[liked - 1], 2)
            n, m = rng.sample(subject.nouns, 2)
            said.append(
                sentence(
                    remark.format(
                        p=praise,
                        q=more,
                        n=n,
                        m=m,
                        a=phrase(rng, subject),
                        v=rng.choice(subject.verbs),
                        count=rng.randrange(2, 20),
                        time=rng.choice(TIMES),
                        who=rng.choice(WHO),
                    )
                )
            )
        return " ".join(said)


def points(liked: int, leaning: int) -> int:
    """The score that one of this leaning gives."""
    return min(5, max(1, liked + leaning))


def likeliest_points(liked: int, leaning: int, *, strength: float) -> int:
    """The score with the least expected error where the leaning decides with the probability `strength`, else chance:
    the median of what may be given.
    """
    weight = round(1000 * strength)
    chance = round((1000 - weight) / len(LEANINGS))
    return median_low(
        [points(liked, leaning)] * weight + [points(liked, other) for other in LEANINGS for _ in range(chance)]
    )
