"""What two texts differ in, word by word: for showing an output beside what would have been right."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from typing import Final

MOST_WORDS: Final = 250
"""Longer texts are not compared: the work grows with the product of both lengths."""


class Change(StrEnum):
    """Where a word stands: in both texts, in the gold alone, in the output alone."""

    SAME = "same"
    MISSING = "missing"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Part:
    """Some words that follow each other and stand alike; single blanks between them."""

    change: Change
    text: str


def differences(gold: str, output: str, *, most_words: int = MOST_WORDS) -> list[Part] | None:
    """The shortest way from `gold` to `output`, by words between blanks; None where one of them is too long.

    The parts that are the same or missing are the gold's words in order, those that are the same or added the
    output's; what is missing at a place comes before what was added there.

    >>> [(part.change.value, part.text) for part in differences("red roses again", "red tulips again")]
    [('same', 'red'), ('missing', 'roses'), ('added', 'tulips'), ('same', 'again')]
    """
    wanted, said = gold.split(), output.split()
    if max(len(wanted), len(said)) > most_words:
        return None
    marked = _marked(wanted, said)
    return [Part(change, " ".join(word for _, word in words)) for change, words in groupby(marked, key=itemgetter(0))]


def _marked(wanted: Sequence[str], said: Sequence[str]) -> list[tuple[Change, str]]:
    common = _common_lengths(wanted, said)
    marked: list[tuple[Change, str]] = []
    added: list[tuple[Change, str]] = []
    at, to = 0, 0
    while at < len(wanted) or to < len(said):
        if at < len(wanted) and to < len(said) and wanted[at] == said[to]:
            marked += [*added, (Change.SAME, wanted[at])]
            added = []
            at, to = at + 1, to + 1
        elif to == len(said) or (at < len(wanted) and common[at + 1][to] >= common[at][to + 1]):
            marked.append((Change.MISSING, wanted[at]))
            at += 1
        else:
            added.append((Change.ADDED, said[to]))
            to += 1
    return marked + added


def _common_lengths(wanted: Sequence[str], said: Sequence[str]) -> list[list[int]]:
    """Of every pair of places, how many words the texts from there on have in common, in order."""
    common = [[0] * (len(said) + 1)]
    for word in reversed(wanted):
        below = common[-1]
        row = [0] * (len(said) + 1)
        for to in range(len(said) - 1, -1, -1):
            row[to] = below[to + 1] + 1 if word == said[to] else max(below[to], row[to + 1])
        common.append(row)
    common.reverse()
    return common
