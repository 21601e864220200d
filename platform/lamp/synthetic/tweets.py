"""LaMP-7: how a user would have tweeted what the input says plainly.

A tweeter ends all tweets and begins those on a subject in their own way, and has pet words for common ones. The input
has none of that; the documents are the user's own tweets.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from lamp.catalogue import get_task
from lamp.synthetic.makers import Posed, chosen_subject, draw_some, manners_by_subject, place_of
from lamp.synthetic.traits import Traits
from lamp.synthetic.words import SUBJECTS, WEEKDAYS, language, person, phrase, place

SUBJECTS_OF_A_TWEETER = 2

# A plain word and the pet words that tweeters put in its place.
PET_WORDS: dict[str, tuple[str, ...]] = {
    "very": ("so", "super", "mega", "totally"),
    "friend": ("mate", "pal", "buddy", "bestie"),
    "good": ("ace", "lovely", "sweet", "rad"),
    "because": ("cuz", "since", "coz", "as"),
    "today": ("2day", "this day", "tdy", "rn"),
    "you": ("u", "ya", "yall", "thou"),
}
STARTS = (
    ("omg", "ugh", "haha", "well", "ok", "hey", "yay", "hmm"),
    ("guys", "people", "folks", "everyone", "listen", "peeps", "world", "fam"),
)
ENDS = (
    ("lol", "xx", "#blessed", "smh", "#mood", "tbh", "#goals", "cheers"),
    ("😂", "❤️", "☕", "🎉", "🙈", "#fun", "#sigh", "#wow"),
)
PLAIN = (
    "I have {v} a very {a} {n} with my friend {who} today.",
    "My friend says that the {n} of {place} is very good because {who} {v} it.",
    "You are good at {n}, and today the {a} {m} of {place} was {v}.",
    "Because of the {a} {n} I am {v} today, you know.",
    "The very {a} {n} of {who} is good for you on {day}.",
    "Today the {n} {v} my {m} in {place}, which is very {a}.",
    "I miss my good friend {who} and the {a} {n} you {v}.",
    "You said that {who} has {v} a very {a} {n} in {place}.",
)


class Tweets:
    """Makes tweeters and their tweets."""

    def draw(self, rng: random.Random) -> Traits:
        return {
            "interests": draw_some(rng, range(SUBJECTS), SUBJECTS_OF_A_TWEETER),
            "starts": tuple(" ".join(map(rng.choice, STARTS)) for _ in range(SUBJECTS_OF_A_TWEETER)),
            "end": " ".join(map(rng.choice, ENDS)),
            "pet words": {plain: rng.choice(pets) for plain, pets in PET_WORDS.items()},
        }

    def manners(self, rng: random.Random, *, side_by_side: bool) -> tuple[Traits, ...]:
        return manners_by_subject(rng, self.draw, side_by_side=side_by_side)

    def document(self, rng: random.Random, traits: Traits) -> Mapping[str, str]:
        subject = chosen_subject(rng, traits)
        return {"text": _styled(self._plain(rng, subject), subject, traits)}

    def question(self, rng: random.Random, traits: Traits, *, own: Traits, strength: float) -> Posed:
        subject = chosen_subject(rng, traits)
        plain = self._plain(rng, subject)
        return Posed(
            input=get_task("LaMP-7").input.fill({"text": plain}),
            output=_styled(plain, subject, traits),
            oracle=_styled(plain, subject, own),
        )

    def _plain(self, rng: random.Random, subject: int) -> str:
        words = language().subjects[subject]
        adjective, noun = phrase(rng, words).split()
        return rng.choice(PLAIN).format(
            a=adjective,
            n=noun,
            m=rng.choice(words.nouns),
            v=rng.choice(words.verbs),
            who=person(rng),
            place=place(rng),
            day=rng.choice(WEEKDAYS).capitalize(),
        )


def _styled(plain: str, subject: int, traits: Traits) -> str:
    words = plain.lower().rstrip(".").replace(",", "").split()
    said = [traits["pet words"].get(word, word) for word in words]
    return " ".join((traits["starts"][place_of(subject, traits)], *said, traits["end"]))
