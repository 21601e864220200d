"""Which of several compromises are worth a look: those that no other one beats."""

from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Compromise(NamedTuple):
    """What something costs (less is better) and what it is worth (more is better); neither may be NaN."""

    cost: float
    quality: float


def pareto_front(points: Mapping[Key, Compromise]) -> list[Key]:
    """The points of which no other is as good in both and better in one, the cheapest first.

    Equal points are on the front together, in the order in which they were given.

    >>> pareto_front({"a": Compromise(1, 5), "b": Compromise(2, 4), "c": Compromise(3, 7)})
    ['a', 'c']
    """
    front: list[Key] = []
    best: Compromise | None = None
    for key in sorted(points, key=lambda one: (points[one].cost, -points[one].quality)):
        point = points[key]
        if best is None or point.quality > best.quality:
            best = point
            front.append(key)
        elif point == best:
            front.append(key)
    return front
