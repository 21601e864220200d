"""The users of the synthetic benchmark: their documents and questions along a life of dated events.

A user is drawn from (seed, task, user number) alone, so the same user comes out whatever the number of users, and
other tasks and seeds hold other people. Profile sizes follow LaMP's means and spreads (LaMP reference §2), drawn
together so that a demonstration stays quick.
"""

from __future__ import annotations

import datetime
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lamp.synthetic.citations import Citations
from lamp.synthetic.films import Films
from lamp.synthetic.makers import Maker
from lamp.synthetic.reviews import Reviews
from lamp.synthetic.titles import MAIL, NEWS, PAPERS, Titles
from lamp.synthetic.traits import Character, draw_character, mood, several_manners
from lamp.synthetic.tweets import Tweets

SMALLEST_PROFILE = 4
REPEATED = 0.02  # real profiles hold repeated documents

TRAIN, DEV, TEST = SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Recipe:
    """How a task's users are made: their maker, LaMP's profile size (mean, standard deviation) and whether dates are
    years alone.
    """

    maker: Maker
    lamp_profile: tuple[float, float]
    years_only: bool = False


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "LaMP-1": Recipe(Citations(), (84.15, 47.54), years_only=True),
        "LaMP-2": Recipe(Films(), (86.76, 189.52)),
        "LaMP-3": Recipe(Reviews(), (185.40, 129.30)),
        "LaMP-4": Recipe(Titles(NEWS), (204.59, 250.75)),
        "LaMP-5": Recipe(Titles(PAPERS), (87.88, 53.63), years_only=True),
        "LaMP-6": Recipe(Titles(MAIL), (55.67, 36.32)),
        "LaMP-7": Recipe(Tweets(), (15.71, 14.86)),
    }
)


@dataclass(frozen=True)
class Written:
    """A document of a user: its id, the day it was written, and its fields without id and date."""

    entry_id: str
    day: datetime.date
    fields: Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """A question of a user, who had written `profile_size` documents by then, all on earlier days. `oracle` is what one
    who knows the user's traits answers.
    """

    question_id: str
    split: str
    day: datetime.date
    profile_size: int
    input: str
    output: str
    oracle: str


@dataclass(frozen=True)
class Person:
    """A synthetic user of one task; documents and questions in order of time. `change` is the first day of the late
    traits.
    """

    user_id: int
    character: Character
    change: datetime.date
    documents: tuple[Written, ...]
    questions: tuple[Asked, ...]


def people(
    task_key: str, *, users: Iterable[int], seed: int, strength: float, drift: float, manners: float = 0.0
) -> Iterator[Person]:
    """The users of the given numbers, one at a time.

    `strength` (0 to 1): how much a user's traits decide what they write; `drift` (0 to 1): how much the traits move
    once in a life; `manners` (0 to 1): how many users have several manners of writing instead, half of them one after
    the other and half side by side (`makers.Maker.manners`). Raises `ValueError` for an unknown task or a number out of
    its range.
    """
    if task_key not in RECIPES:
        raise ValueError(f"no synthetic users for the task {task_key!r}; there are {', '.join(RECIPES)}")
    for name, value in (("strength", strength), ("drift", drift), ("manners", manners)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be from 0 to 1, not {value}")
    for user in users:
        yield _person(task_key, user=user, seed=seed, strength=strength, drift=drift, manners=manners)


def _person(task_key: str, *, user: int, seed: int, strength: float, drift: float, manners: float) -> Person:
    recipe = RECIPES[task_key]
    maker = recipe.maker
    rng = random.Random(f"{seed}/{task_key}/{user}")  # noqa: S311 - a generator of text, not of secrets
    character = draw_character(rng, maker.draw, drift=drift)
    if manners and (chance := rng.random()) < manners:
        side_by_side = chance < manners / 2
        drawn = maker.manners(rng, side_by_side=side_by_side)
        character = several_manners(drawn, change=character.change, side_by_side=side_by_side)
    plan = _plan(rng, _profile_size(rng, *recipe.lamp_profile))

    events = plan[-1][0] + len(plan)
    span = max(3 * events, rng.randrange(365, 6 * 365))
    start = datetime.date(2008, 1, 1) + datetime.timedelta(days=rng.randrange(6 * 365))
    days = iter(sorted(rng.sample(range(span), events)))

    documents: list[Written] = []
    questions: list[Asked] = []
    for size, split in plan:
        while len(documents) < size:
            offset = next(days)
            traits = mood(rng, character.at(offset / span, rng), maker.draw, strength=strength)
            repeats = documents and rng.random() < REPEATED
            fields = rng.choice(documents).fields if repeats else maker.document(rng, traits)
            entry_id = str(user * 100_000 + len(documents))
            documents.append(Written(entry_id, start + datetime.timedelta(days=offset), fields))
        offset = next(days)
        own = character.at(offset / span, rng)
        posed = maker.question(rng, mood(rng, own, maker.draw, strength=strength), own=own, strength=strength)
        day = start + datetime.timedelta(days=offset)
        question_id = str(user * 10 + len(questions))
        questions.append(Asked(question_id, split, day, size, posed.input, posed.output, posed.oracle))
    change = start + datetime.timedelta(days=math.ceil(character.change * span))
    return Person(user, character, change, tuple(documents), tuple(questions))


def _profile_size(rng: random.Random, mean: float, deviation: float) -> int:
    """A log-normal size around 10 + mean / 20 with LaMP's relative spread (at most 1), from 4 to five means."""
    scaled = 10 + mean / 20
    spread = min(1.0, deviation / mean)
    sigma = math.sqrt(math.log(1 + spread**2))
    drawn = rng.lognormvariate(math.log(scaled) - sigma**2 / 2, sigma)
    return int(min(5 * scaled, max(SMALLEST_PROFILE, drawn)))


def _plan(rng: random.Random, size: int) -> list[tuple[int, str]]:
    """The user's questions in order of time as (profile size, split): always one in dev, often others in train and
    test.
    """
    plan = []
    if rng.random() < 0.5:
        plan.append((max(SMALLEST_PROFILE, int(size * rng.uniform(0.5, 0.9))), TRAIN))
    plan.append((size, DEV))
    if rng.random() < 0.25:
        plan.append((size := size + rng.randrange(3), DEV))
    if rng.random() < 0.5:
        plan.append((size + rng.randrange(4), TEST))
    return plan
