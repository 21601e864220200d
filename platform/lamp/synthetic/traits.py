"""Latent traits: what makes one synthetic user's documents and answers their own.

A user's traits are a mapping of named components ("interests", "leaning", ...). Whenever the user writes, each
component is, with the probability `strength`, the user's own, else that of a passer-by; so at strength 0 nothing of a
profile says anything about an answer. With `drift` above 0 some components change once in the user's life, so that
later documents say more about later answers.
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
    """A user's traits over a life that runs from 0 to 1: `early` before `change`, `late` from then on."""

    early: Traits
    late: Traits
    change: float

    def at(self, moment: float) -> Traits:
        """The traits at a moment of the user's life."""
        return self.early if moment < self.change else self.late


def draw_character(rng: random.Random, draw: Draw, *, drift: float) -> Character:
    """Draw a user; each component is drawn anew at the change with the probability `drift` (0 to 1)."""
    early, other = draw(rng), draw(rng)
    moved = {name: rng.random() < drift for name in early}
    late = {name: other[name] if moved[name] else value for name, value in early.items()}
    return Character(early=early, late=late, change=rng.uniform(0.4, 0.8))


def mood(rng: random.Random, own: Traits, draw: Draw, *, strength: float) -> Traits:
    """The traits by which one document or answer is written: each component the user's own with the probability
    `strength`.
    """
    passer_by = draw(rng)
    kept = {name: rng.random() < strength for name in own}
    return {name: value if kept[name] else passer_by[name] for name, value in own.items()}
