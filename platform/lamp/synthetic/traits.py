"""Latent traits: what makes one synthetic user's documents and answers their own.

A user's traits are a mapping of named components ("interests", "leaning", ...). Whenever the user writes, each
component is, with the probability `strength`, the user's own, else that of a passer-by; so at strength 0 nothing of a
profile says anything about an answer. With `drift` above 0 some components change once in the user's life, so that
later documents say more about later answers.

Some users may have several manners of writing (`several_manners`). Half of those have one after the other, on one
subject; the others have them side by side, each for a subject of its own. So of some users the newest documents say
most, and of others those that are about what is asked.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Traits = Mapping[str, Any]
Draw = Callable[[random.Random], Traits]


@dataclass(frozen=True)
class Character:
    """A user's traits over a life that runs from 0 to 1: `early` before `change`, `late` from then on.

    One who has several manners side by side has them as `voices` instead, all of them at any moment; `early` and `late`
    are then the first of them.
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


def draw_character(rng: random.Random, draw: Draw, *, drift: float) -> Character:
    """Draw a user; each component is drawn anew at the change with the probability `drift` (0 to 1)."""
    early, other = draw(rng), draw(rng)
    moved = {name: rng.random() < drift for name in early}
    late = {name: other[name] if moved[name] else value for name, value in early.items()}
    return Character(early=early, late=late, change=rng.uniform(0.4, 0.8))


def several_manners(manners: tuple[Traits, ...], *, change: float, side_by_side: bool) -> Character:
    """A user of these manners: all of them side by side, or the first until `change` and then the second."""
    early, late = manners[0], manners[0 if side_by_side else 1]
    return Character(early=early, late=late, change=change, voices=manners if side_by_side else ())


def mood(rng: random.Random, own: Traits, draw: Draw, *, strength: float) -> Traits:
    """The traits by which one document or answer is written: each component the user's own with the probability
    `strength`.
    """
    passer_by = draw(rng)
    kept = {name: rng.random() < strength for name in own}
    return {name: value if kept[name] else passer_by[name] for name, value in own.items()}
