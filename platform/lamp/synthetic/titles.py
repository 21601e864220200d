"""LaMP-4, -5 and -6: the headline, title or subject of a text, told by its writer's habits.

Each text holds the same kinds of facts. A writer has a rubric for each of their subjects ("Vrelmoth Watch:", which
stands in no article) and one shape of title for all of them (which facts, in which order).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from lamp.catalogue import get_task
from lamp.pairs import pair_of
from lamp.synthetic.makers import Posed, draw_some, interest, sentence
from lamp.synthetic.traits import Traits
from lamp.synthetic.words import SUBJECTS, WEEKDAYS, invented, language, person, phrase, place

SUBJECTS_OF_A_WRITER = 2


@dataclass(frozen=True)
class Genre:
    """A kind of titled text: its field, how it opens and goes on, its writers' rubrics and shapes of title."""

    task_key: str
    field: str
    openings: tuple[str, ...]
    continuations: tuple[str, ...]
    rubrics: tuple[str, ...]
    shapes: tuple[str, ...]


NEWS = Genre(
    task_key="LaMP-4",
    field="text",
    openings=(
        "{who} of {place} {verb} the {what} on {day}.",
        "On {day} the {what} was {verb} by {who} in {place}.",
        "In {place}, {who} {verb} the {what}.",
        "The {what} in {place} surprised {who} last {day}.",
    ),
    continuations=(
        "The {noun} came with {why}.",
        "Many blame {why} and the {noun}.",
        "Now {why} worries every {noun}.",
        "A {noun} spoke of {why}.",
    ),
    rubrics=(
        "{word} Watch:",
        "{word} Desk:",
        "The {word} Report:",
        "Inside {word}:",
        "{word} Diary:",
        "{word} Letter:",
    ),
    shapes=(
        "{what} in {place}",
        "{who} and the {what}",
        "{why} strikes {place}",
        "why {who} {verb}",
        "{place} fears {why}",
        "{what} or {why}?",
    ),
)

PAPERS = Genre(
    task_key="LaMP-5",
    field="abstract",
    openings=(
        "We study {what} with the {who} method.",
        "This paper treats {what}, {verb} by {who} tests.",
        "A {noun} of {what} is given after {who}.",
        "Following {who}, we have {verb} {what}.",
    ),
    continuations=(
        "Data from {place} show {why}.",
        "We find {why} in {place} samples.",
        "The {noun} of {place} leads to {why}.",
        "In {place} it explains {why}.",
    ),
    rubrics=(
        "{word} notes on",
        "Towards a {word} theory of",
        "{word} studies:",
        "A {word} view of",
        "The {word} case for",
        "Beyond {word}:",
    ),
    shapes=(
        "{what} via {who} tests",
        "{why} from {what}",
        "{what} at {place}",
        "{who} on {why}",
        "{what} and {why}",
        "{place} and its {what}",
    ),
)

MAIL = Genre(
    task_key="LaMP-6",
    field="text",
    openings=(
        "Hi {who}, the {what} for {place} is {verb}.",
        "Dear {who}, we {verb} the {what} at {place}.",
        "{who}, could you check the {what} from {place}?",
        "Hello {who}, {place} still needs the {what}.",
    ),
    continuations=(
        "Please send {why} by {day}.",
        "On {day} we discuss {why}.",
        "The {noun} wants {why} until {day}.",
        "It is about {why}, due {day}.",
    ),
    rubrics=("[{word}]", "{word} team:", "FYI {word}:", "{word} project -", "Re {word}:", "Urgent {word}:"),
    shapes=(
        "{what} by {day}",
        "{why} for {place}",
        "{who} please check {what}",
        "{day} about {why}",
        "{what} at {place}",
        "need {why}",
    ),
)


class Titles:
    """Makes writers of one genre and their titled texts."""

    def __init__(self, genre: Genre) -> None:
        self.genre = genre

    def draw(self, rng: random.Random) -> Traits:
        return {
            "interests": draw_some(rng, range(SUBJECTS), SUBJECTS_OF_A_WRITER),
            "rubrics": tuple(
                rng.choice(self.genre.rubrics).format(word=invented(rng).capitalize())
                for _ in range(SUBJECTS_OF_A_WRITER)
            ),
            "shape": rng.choice(self.genre.shapes),
        }

    def document(self, rng: random.Random, traits: Traits) -> Mapping[str, str]:
        about = interest(rng, traits)
        subject = language().subjects[traits["interests"][about]]
        what, why = phrase(rng, subject), phrase(rng, subject)
        facts = {
            "who": person(rng),
            "place": place(rng),
            "what": what,
            "why": why,
            "verb": rng.choice(subject.verbs),
            "noun": rng.choice(subject.nouns),
            "day": rng.choice(WEEKDAYS),
        }
        text = " ".join(
            sentence(rng.choice(part).format(**facts)) for part in (self.genre.openings, self.genre.continuations)
        )
        return {self.genre.field: text, "title": f"{traits['rubrics'][about]} {traits['shape'].format(**facts)}"}

    def question(self, rng: random.Random, traits: Traits) -> Posed:
        return Posed(*pair_of(get_task(self.genre.task_key), self.document(rng, traits)))
