"""LaMP-7: how a user would have tweeted what the input says plainly.

A tweeter begins and ends tweets on a subject in their own way and has pet words for common ones. The input has none
of that; the documents are the user's own tweets.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from lamp.catalogue import get_task
from lamp.synthetic.makers import Posed, draw_some, interest
from lamp.synthetic.traits import Traits
from lamp.synthetic.words import SUBJECTS, WEEKDAYS, invented, language, person, phrase

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
    "omg {word}",
    "ugh {word}",
    "haha {word}",
    "well {word}",
    "ok {word}",
    "hey {word}",
    "yay {word}",
    "{word} alert",
)
ENDS = ("#{word}", "lol {word}", "{word} 😂", "{word} ❤️", "xx {word}", "{word}!!", "#{word} ☕", "@{word}")
PLAIN = (
    "I have {v} a very {a} {n} with my friend {who} today.",
    "My friend says that the {n} is very good because {who} {v} it.",
    "You are good at {n}, and today the {a} {m} was {v}.",
    "Because of the {a} {n} I am {v} today, you know.",
    "The very {a} {n} of {who} is good for you on {day}.",
    "Today the {n} {v} my {m}, which is very {a}.",
    "I miss my good friend {who} and the {a} {n} you {v}.",
)


class Tweets:
    """Makes tweeters and their tweets."""

    def draw(self, rng: random.Random) -> Traits:
        return {
            "interests": draw_some(rng, range(SUBJECTS), SUBJECTS_OF_A_TWEETER),
            "starts": tuple(rng.choice(STARTS).format(word=invented(rng)) for _ in range(SUBJECTS_OF_A_TWEETER)),
            "ends": tuple(rng.choice(ENDS).format(word=invented(rng)) for _ in range(SUBJECTS_OF_A_TWEETER)),
            "pet words": {plain: rng.choice(pets) for plain, pets in PET_WORDS.items()},
        }

    def document(self, rng: random.Random, traits: Traits) -> Mapping[str, str]:
        about = interest(rng, traits)
        return {"text": self._styled(self._plain(rng, traits, about), traits, about)}

    def question(self, rng: random.Random, traits: Traits) -> Posed:
        about = interest(rng, traits)
        plain = self._plain(rng, traits, about)
        return Posed(
            input=get_task("LaMP-7").input.fill({"text": plain}),
            output=self._styled(plain, traits, about),
        )

    def _plain(self, rng: random.Random, traits: Traits, about: int) -> str:
        subject = language().subjects[traits["interests"][about]]
        adjective, noun = phrase(rng, subject).split()
        return rng.choice(PLAIN).format(
            a=adjective,
            n=noun,
            m=rng.choice(subject.nouns),
            v=rng.choice(subject.verbs),
            who=person(rng),
            day=rng.choice(WEEKDAYS).capitalize(),
        )

    def _styled(self, plain: str, traits: Traits, about: int) -> str:
        words = plain.lower().rstrip(".").replace(",", "").split()
        styled = [traits["pet words"].get(word, word) for word in words]
        return " ".join((traits["starts"][about], *styled, traits["ends"][about]))
