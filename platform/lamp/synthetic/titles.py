"""LaMP-4, -5 and -6: how a writer would title a text.

The text holds all the facts of its titles; every text of the genre holds the same kinds of facts. A writer has one way
to open titles, one shape for what stands in the middle (which facts, in which order), and for each of their subjects
one way to close them. Openings and closings stand in no text; they are put together from two closed sets of words.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from lamp.catalogue import get_task
from lamp.pairs import pair_of
from lamp.synthetic.makers import Posed, chosen_subject, draw_some, manners_by_subject, place_of, sentence
from lamp.synthetic.traits import Traits
from lamp.synthetic.words import SUBJECTS, WEEKDAYS, language, person, phrase, place

SUBJECTS_OF_A_WRITER = 2


@dataclass(frozen=True)
class Genre:
    """A kind of titled text: its field, how it opens and goes on; and of its titles the shapes and the first and second
    words of openings and closings.
    """

    task_key: str
    field: str
    openings: tuple[str, ...]
    continuations: tuple[str, ...]
    shapes: tuple[str, ...]
    opened: tuple[tuple[str, ...], tuple[str, ...]]
    closed: tuple[tuple[str, ...], tuple[str, ...]]


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
    shapes=(
        "{what} in {place}",
        "{who} and the {what}",
        "{why} strikes {place}",
        "{place} fears {why}",
        "{what} or {why}",
        "{why} for {who}",
    ),
    opened=(
        ("Morning", "Evening", "City", "Harbour", "Northern", "Daily", "Sunday", "Valley"),
        ("Report:", "Watch:", "Letter:", "Desk:", "Diary:", "Notes:", "Briefing:", "Dispatch:"),
    ),
    closed=(
        ("say", "ask", "doubt", "fear", "hope", "claim", "warn", "deny"),
        ("experts", "locals", "critics", "insiders", "neighbours", "lawyers", "officials", "voters"),
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
    shapes=(
        "{what} via {who} tests",
        "{why} from {what}",
        "{what} at {place}",
        "{who} on {why}",
        "{what} and {why}",
        "{place} samples of {why}",
    ),
    opened=(
        ("Rethinking", "Towards", "Beyond", "Measuring", "Explaining", "Revisiting", "Against", "Learning"),
        ("simple", "robust", "local", "formal", "deep", "fast", "open", "sparse"),
    ),
    closed=(
        ("with", "without", "under", "despite", "using", "given", "after", "through"),
        ("guarantees", "proofs", "noise", "limits", "experiments", "priors", "surveys", "feedback"),
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
    shapes=(
        "{what} by {day}",
        "{why} for {place}",
        "{who} about {what}",
        "{day} and {why}",
        "{what} at {place}",
        "{why} from {who}",
    ),
    opened=(
        ("[team]", "FYI", "Re", "Fwd", "Urgent", "Action", "Reminder", "Question"),
        ("project:", "office:", "billing:", "travel:", "hiring:", "legal:", "lab:", "sales:"),
    ),
    closed=(
        ("please", "kindly", "thanks", "better", "simply", "just", "maybe", "now"),
        ("reply", "confirm", "read", "forward", "sign", "check", "call", "wait"),
    ),
)


class Titles:
    """Makes writers of one genre and their titled texts."""

    def __init__(self, genre: Genre) -> None:
        self.genre = genre

    def draw(self, rng: random.Random) -> Traits:
        return {
            "interests": draw_some(rng, range(SUBJECTS), SUBJECTS_OF_A_WRITER),
            "opening": _two_words(rng, self.genre.opened),
            "shape": rng.choice(self.genre.shapes),
            "closings": tuple(_two_words(rng, self.genre.closed) for _ in range(SUBJECTS_OF_A_WRITER)),
        }

    def manners(self, rng: random.Random, *, side_by_side: bool) -> tuple[Traits, ...]:
        return manners_by_subject(rng, self.draw, side_by_side=side_by_side)

    def document(self, rng: random.Random, traits: Traits) -> Mapping[str, str]:
        return self._titled(self._facts(rng, chosen_subject(rng, traits)), traits)

    def question(self, rng: random.Random, traits: Traits, *, own: Traits, strength: float) -> Posed:
        facts = self._facts(rng, chosen_subject(rng, traits))
        asked, gold = pair_of(get_task(self.genre.task_key), self._titled(facts, traits))
        return Posed(asked, gold, facts.title(own))

    def _titled(self, facts: Facts, traits: Traits) -> Mapping[str, str]:
        return {self.genre.field: facts.text, "title": facts.title(traits)}

    def _facts(self, rng: random.Random, subject: int) -> Facts:
        words = language().subjects[subject]
        values = {
            "who": person(rng),
            "place": place(rng),
            "what": phrase(rng, words),
            "why": phrase(rng, words),
            "verb": rng.choice(words.verbs),
            "noun": rng.choice(words.nouns),
            "day": rng.choice(WEEKDAYS),
        }
        parts = (rng.choice(self.genre.openings), rng.choice(self.genre.continuations))
        return Facts(subject, values, " ".join(sentence(part.format(**values)) for part in parts))


@dataclass(frozen=True)
class Facts:
    """What a text is about, in which words, and the text."""

    subject: int
    values: Mapping[str, str]
    text: str

    def title(self, traits: Traits) -> str:
        """As one with these traits would title the text."""
        closing = traits["closings"][place_of(self.subject, traits)]
        return f"{traits['opening']} {traits['shape'].format(**self.values)} {closing}"


def _two_words(rng: random.Random, words: tuple[tuple[str, ...], tuple[str, ...]]) -> str:
    return f"{rng.choice(words[0])} {rng.choice(words[1])}"
