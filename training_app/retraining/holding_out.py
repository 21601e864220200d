"""Which of a profile's documents a trial is measured on, and which it learns from."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass


class TooFewDocuments(ValueError):
    """There are no two different documents: one to learn from, one to measure on."""


@dataclass(frozen=True)
class ProfileDocument:
    """One entry of a profile: its document, and the date as a tuple of ints where it has one."""

    id: int
    date_key: tuple[int, ...] | None


@dataclass(frozen=True)
class HeldOut:
    """A profile in two parts, as ids of documents."""

    learned: tuple[int, ...]
    """In the profile's order, repetitions included."""
    measured: tuple[int, ...]
    """The newest, each once, the oldest of them first."""


def hold_out(
    profile: Sequence[ProfileDocument], *, share: float, most: int, seen: Collection[int] = frozenset()
) -> HeldOut:
    """Hold out the newest documents of `profile`, which is in its order: `share` of them, 1 at least, `most` at most.

    The newest by date where all have one, else by place; one that stands there repeatedly counts where it stands last.
    Where any is not among those `seen` by the adapter that is measured beside the trial, only such are held out, though
    they be fewer. One document at least is left to learn from.

    Raises `TooFewDocuments`.

    >>> hold_out([ProfileDocument(one, None) for one in (7, 8, 9)], share=0.5, most=10)
    HeldOut(learned=(7, 8), measured=(9,))
    """
    last_places = {document.id: place for place, document in enumerate(profile)}
    if len(last_places) < 2:
        raise TooFewDocuments("a trial needs two different documents")
    dates = [document.date_key for document in profile]
    dated = all(date is not None for date in dates)
    oldest_first = sorted(
        last_places, key=lambda one: (dates[last_places[one]] or () if dated else (), last_places[one])
    )
    number = max(1, min(most, int(share * len(oldest_first)), len(oldest_first) - 1))
    unseen = [one for one in oldest_first if one not in seen]
    measured = (unseen or oldest_first)[-number:]
    return HeldOut(
        learned=tuple(document.id for document in profile if document.id not in measured), measured=tuple(measured)
    )
