"""LaMP-1: which of two papers an author cites, told by the author's topics and co-authors.

One reference is about a topic of the author and may name a co-author's method, the other is a stranger's. The asked
title is mostly about another topic of the author, so that it favours neither reference and only the profile can tell.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from lamp.catalogue import get_task
from lamp.synthetic.makers import Posed, draw_some, sentence
from lamp.synthetic.traits import Traits
from lamp.synthetic.words import SUBJECTS, Vocabulary, language, person, phrase

TOPICS_OF_AN_AUTHOR = 3
COAUTHORS = 3
NAMED = 0.6  # how many titles name somebody's method
SAME_TOPIC = 0.2  # how many asked titles are about the cited paper's topic, so that some answers need no profile

METHODS = (
    "bounds",
    "method",
    "model",
    "test",
    "index",
    "lemma",
    "filter",
    "transform",
    "network",
    "kernel",
    "tree",
    "code",
)
TITLES = (
    "{a} in {b}",
    "On the {noun} of {a} and {b}",
    "Towards {a} and {b}",
    "{a}: a {adjective} study of {b}",
    "From {a} to {b}",
    "A survey of {a} with {b}",
    "Measuring {a} by {b}",
)
NAMED_TITLES = (
    "{name} {method} for {a} and {noun}",
    "The {name} {method} of {a} and {b}",
    "{a} by the {name} {method}",
    "A {adjective} {name} {method} for {b}",
)
ABSTRACTS = (
    "We study {a} with a {noun} of {b}. The {adjective} {noun2} is {verb} in {count} cases.",
    "This paper asks how {a} {verb} the {noun}. In {count} trials {b} was {adjective}.",
    "Given {a}, we show that {b} can be {verb}. A {noun} of {count} parts explains the {noun2}.",
    "The {noun} of {a} is {verb} once more. Our {adjective} {noun2} holds for {count} kinds of {b}.",
)


class Citations:
    """Makes authors and their papers."""

    def draw(self, rng: random.Random) -> Traits:
        return {
            "interests": draw_some(rng, range(SUBJECTS), TOPICS_OF_AN_AUTHOR),
            "coauthors": tuple(person(rng) for _ in range(COAUTHORS)),
        }

    def document(self, rng: random.Random, traits: Traits) -> Mapping[str, str]:
        topic = language().subjects[rng.choice(traits["interests"])]
        return {
            "title": self._title(rng, topic, rng.choice(traits["coauthors"])),
            "abstract": self._abstract(rng, topic),
        }

    def question(self, rng: random.Random, traits: Traits, *, own: Traits, strength: float) -> Posed:
        subjects = language().subjects
        asked, cited, *_ = rng.sample(traits["interests"], len(traits["interests"]))
        if rng.random() < SAME_TOPIC:
            asked = cited
        foreign = rng.choice([number for number in range(SUBJECTS) if number not in traits["interests"]])
        coauthor = rng.choice(traits["coauthors"])
        while (stranger := person(rng)) in traits["coauthors"]:
            pass
        right = (cited, self._title(rng, subjects[cited], coauthor))
        wrong = (foreign, self._title(rng, subjects[foreign], stranger))
        references = (right, wrong) if rng.random() < 0.5 else (wrong, right)
        (_, a), (_, b) = references
        title = self._title(rng, subjects[asked], None)
        return Posed(
            input=get_task("LaMP-1").input.fill({"title": title, "first_reference": a, "second_reference": b}),
            output="[1]" if references[0] is right else "[2]",
            oracle=_more_familiar(own, asked=asked, references=references),
        )

    def _title(self, rng: random.Random, topic: Vocabulary, name: str | None) -> str:
        forms = NAMED_TITLES if name and rng.random() < NAMED else TITLES
        return sentence(rng.choice(forms).format(**_filling(rng, topic), name=name, method=rng.choice(METHODS)))

    def _abstract(self, rng: random.Random, topic: Vocabulary) -> str:
        return sentence(rng.choice(ABSTRACTS).format(**_filling(rng, topic)))


def _more_familiar(own: Traits, *, asked: int, references: Sequence[tuple[int, str]]) -> str:
    """The reference, each a (topic, title), that one who knows the author's traits takes; the first where nothing
    tells.
    """
    familiar = [
        (topic in own["interests"] or not set(own["coauthors"]).isdisjoint(title.split()), topic == asked)
        for topic, title in references
    ]
    return "[1]" if familiar[0] >= familiar[1] else "[2]"


def _filling(rng: random.Random, topic: Vocabulary) -> dict[str, str]:
    noun, second = rng.sample(topic.nouns, 2)
    return {
        "a": phrase(rng, topic),
        "b": phrase(rng, topic),
        "noun": noun,
        "noun2": second,
        "adjective": rng.choice(topic.adjectives),
        "verb": rng.choice(topic.verbs),
        "count": str(rng.randrange(2, 60)),
    }
