"""LaMP-1: which of two papers an author cites, told by the author's topics and co-authors.

A topic is two things that the author brings together in paper after paper. One reference brings together those of one
of the author's topics and may name a co-author's method, the other is a stranger's. The asked title is mostly about
another topic of the author, so that it favours neither reference and only the profile can tell.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lamp.catalogue import get_task
from lamp.synthetic.makers import Posed, draw_some, number_of_manners, sentence
from lamp.synthetic.traits import Traits
from lamp.synthetic.words import SUBJECTS, language, person, phrase, place

TOPICS_OF_AN_AUTHOR = 4
COAUTHORS = 3
NAMED = 0.6  # how many titles name somebody's method
SAME_TOPIC = 0.3  # how many asked titles are about the cited paper's topic, so that some answers need no profile

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
    "{a} in {b} by {adjective} {noun}",
    "On the {place} {noun} of {a} and {b}",
    "Towards {adjective} {a} and {b}",
    "{a}: a {adjective} {noun} of {b}",
    "From {a} to {b}: the {place} {noun}",
    "A survey of {a} with {b} in {place}",
    "Measuring {a} by {noun} and {b}",
)
NAMED_TITLES = (
    "{name} {method} for {a} and {b}",
    "The {name} {method} of {a} and {b}",
    "{a} and {b} by the {place} {name} {method}",
    "A {adjective} {name} {method} of {a} for {b}",
)
ABSTRACTS = (
    "We study {a} with a {noun} of {b}. The {adjective} {noun2} is {verb} in {count} cases.",
    "This paper asks how {a} {verb} the {noun}. In {count} trials {b} was {adjective}.",
    "Given {a}, we show that {b} can be {verb}. A {noun} of {count} parts explains the {noun2}.",
    "The {noun} of {a} is {verb} once more. Our {adjective} {noun2} holds for {count} kinds of {b}.",
)


class Topic(NamedTuple):
    """Two things brought together, and the number of the subject whose words they are in."""

    subject: int
    one: str
    other: str


class Citations:
    """Makes authors and their papers."""

    def draw(self, rng: random.Random) -> Traits:
        subjects = draw_some(rng, range(SUBJECTS), TOPICS_OF_AN_AUTHOR)
        return {
            "topics": tuple(_topic(rng, subject) for subject in subjects),
            "coauthors": tuple(person(rng) for _ in range(COAUTHORS)),
        }

    def manners(self, rng: random.Random, *, side_by_side: bool) -> tuple[Traits, ...]:
        return tuple(self.draw(rng) for _ in range(number_of_manners(side_by_side=side_by_side)))

    def document(self, rng: random.Random, traits: Traits) -> Mapping[str, str]:
        topic = rng.choice(traits["topics"])
        return {
            "title": _title(rng, topic, rng.choice(traits["coauthors"])),
            "abstract": sentence(rng.choice(ABSTRACTS).format(**_filling(rng, topic))),
        }

    def question(self, rng: random.Random, traits: Traits, *, own: Traits, strength: float) -> Posed:
        asked, cited, *_ = rng.sample(traits["topics"], len(traits["topics"]))
        if rng.random() < SAME_TOPIC:
            asked = cited
        known = {topic.subject for topic in traits["topics"]}
        foreign = _topic(rng, rng.choice([number for number in range(SUBJECTS) if number not in known]))
        coauthor = rng.choice(traits["coauthors"])
        stranger = next(name for name in iter(lambda: person(rng), None) if name not in traits["coauthors"])
        references = [(cited, _title(rng, cited, coauthor)), (foreign, _title(rng, foreign, stranger))]
        rng.shuffle(references)
        (first, first_title), (_, second_title) = references
        return Posed(
            input=get_task("LaMP-1").input.fill(
                {
                    "title": _title(rng, asked, None),
                    "first_reference": first_title,
                    "second_reference": second_title,
                }
            ),
            output="[1]" if first is cited else "[2]",
            oracle=_more_familiar(own, asked=asked, references=references),
        )


def _topic(rng: random.Random, subject: int) -> Topic:
    words = language().subjects[subject]
    return Topic(subject, phrase(rng, words), phrase(rng, words))


def _title(rng: random.Random, topic: Topic, name: str | None) -> str:
    forms = NAMED_TITLES if name and rng.random() < NAMED else TITLES
    return sentence(rng.choice(forms).format(**_filling(rng, topic), name=name, method=rng.choice(METHODS)))


def _more_familiar(own: Traits, *, asked: Topic, references: Sequence[tuple[Topic, str]]) -> str:
    """The reference, each a topic and a title, that one who knows the author's traits takes; the first where nothing
    tells.
    """
    familiar = [
        (topic in own["topics"] or not set(own["coauthors"]).isdisjoint(title.split()), topic == asked)
        for topic, title in references
    ]
    return "[1]" if familiar[0] >= familiar[1] else "[2]"


def _filling(rng: random.Random, topic: Topic) -> dict[str, str]:
    words = language().subjects[topic.subject]
    noun, second = rng.sample(words.nouns, 2)
    one, other = draw_some(rng, (topic.one, topic.other), 2)
    return {
        "a": one,
        "b": other,
        "noun": noun,
        "noun2": second,
        "adjective": rng.choice(words.adjectives),
        "verb": rng.choice(words.verbs),
        "place": place(rng),
        "count": str(rng.randrange(2, 60)),
    }
