"""Latent traits: what makes one synthetic user's documents and answers their own.

A user's traits are a mapping of named components ("interests", "leaning", ...). Whenever the user writes, each
component is, with the probability `strength`, the user's own, else that of a passer-by; so at strength 0 nothing of a
profile says anything about an answer. With `drift` above 0 some components change once in the user's life, so that
later documents say more about later answers.

With `manners` above 0 some users have more than one manner of writing. Half of those have one after the other, on the
same subjects; the others have several side by side, each for a subject of its own. So of some users the newest
documents say most, and of others those that are about what is asked.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Traits = Mapping[str, Any]
Draw = Callable[[random.Random], Traits]

INTERESTS = "interests"
"""The component that holds the subjects a user writes about, in tasks that have subjects."""
VOICES = 3
"""The manners of a user who has several side by side."""


@dataclass(frozen=True)
class Character:
    """A user's traits over a life that runs from 0 to 1: `early` before `change`, `late` from then on.

    One who has several manners side by side has `voices` instead, all of them at any moment; `early` and `late` are
    then the first of them.
    """

    early: Traits
    late: Traits
    change: float
    voices: tuple[Traits, ...] = ()

    def at(self, moment: float, rng: random.Random) -> Traits:
        """The traits by which the user writes at a moment of their life; of several voices, one by chance."""
        if self.voices:
            return rng.choice(self.voices)
        return self.early if moment < self.change else self.late


def draw_character(rng: random.Random, draw: Draw, *, drift: float, manners: float = 0.0) -> Character:
    """Draw a user.

    With the probability `manners` (0 to 1) the user has several: one after the other, where at the change everything
    but the subjects is drawn anew; or side by side, where each voice is drawn anew and writes about one subject. Any
    other user has each component drawn anew at the change with the probability `drift` (0 to 1).
    """
    early, other = draw(rng), draw(rng)
    moved = {name: rng.random() < drift for name in early}
    change = rng.uniform(0.4, 0.8)
    if manners and (chance := rng.random()) < manners:
        if chance < manners / 2:
            voices = tuple(_on_one_subject(draw(rng)) for _ in range(VOICES))
            return Character(early=voices[0], late=voices[0], change=change, voices=voices)
        moved = {name: name != INTERESTS for name in early}
    late = {name: other[name] if moved[name] else value for name, value in early.items()}
    return Character(early=early, late=late, change=change)


def _on_one_subject(traits: Traits) -> Traits:
    if INTERESTS not in traits:
        return traits
    interests = traits[INTERESTS]
    return {**traits, INTERESTS: (interests[0],) * len(interests)}


def mood(rng: random.Random, own: Traits, draw: Draw, *, strength: float) -> Traits:
    """The traits by which one document or answer is written: each component the user's own with the probability
    `strength`.
    """
    passer_by = draw(rng)
    kept = {name: rng.random() < strength for name in own}
    return {name: value if kept[name] else passer_by[name] for name, value in own.items()}
