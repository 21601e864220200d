"""What the entries of a prompt have in common, with each other, with the question and with an output.

This is what tells which retriever serves a synthetic user: whether the entries are written in one manner, whether they
are about the question, and whether those that are near to it are the ones alike. It is read off the prompt alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations, product
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from lamp.selector_texts import SelectorText

_TITLED = r'"(?P<output>[^"]*)" is the title for "(?P<text>.*?)" '
_ENTRY: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "LaMP-1": re.compile(r'and "(?P<text>[^"]*)"(?P<output>)'),
        "LaMP-2": re.compile(r'the tag for the movie: "(?P<text>.*?)" is "(?P<output>[^"]*)"'),
        "LaMP-3": re.compile(r'(?P<output>\d) is the score for "(?P<text>.*?)" '),
        "LaMP-4": re.compile(_TITLED),
        "LaMP-5": re.compile(_TITLED),
        "LaMP-6": re.compile(_TITLED),
        "LaMP-7": re.compile(r'"(?P<output>[^"]*)"(?P<text>)'),
    }
)
_BEFORE_QUESTION: Mapping[str, str] = MappingProxyType(
    {
        "LaMP-1": "which reference is related? ",
        "LaMP-2": "description: ",
        "LaMP-3": "review: ",
        "LaMP-4": "article: ",
        "LaMP-5": "paper: ",
        "LaMP-6": "email: ",
        "LaMP-7": "before or after it: ",
    }
)
_WORD = re.compile(r'[^\s",.:]+')
_ROOT = 5  # letters; words that share a root begin alike
_NEAR = 0.2  # of the question's roots
_UNKNOWN = 0.5  # where there are too few entries to compare
_MOST_ENTRIES = 4
_HIGHEST_SCORE = 5
_LONG_OUTPUT = 20  # words


class Entry(NamedTuple):
    """One document in a prompt: where it stands there, its text, and what it was given (a tag, a score, a title)."""

    span: tuple[int, int]
    text: str
    output: str


class Entries(NamedTuple):
    """A prompt's entries in their order, and the question after them."""

    entries: tuple[Entry, ...]
    question: str

    def nearness(self) -> list[float]:
        """Of each entry, which share of the question's roots it holds."""
        asked = _roots(self.question)
        return [len(asked & _roots(f"{entry.text} {entry.output}")) / max(1, len(asked)) for entry in self.entries]


def entries_of(task_key: str, prompt: str) -> Entries:
    """The entries of a prompt of one of LaMP's tasks, lower-cased or not; none where there are no documents in it."""
    before, marker, question = prompt.rpartition(_BEFORE_QUESTION[task_key])
    if not marker:
        return Entries((), question)
    found = _ENTRY[task_key].finditer(before)
    return Entries(tuple(Entry(one.span(), one["text"], one["output"]) for one in found), question)


def compared(task_key: str, candidate: SelectorText) -> list[float]:
    """The features of a candidate; those of the output follow where it has one. All lie near 0 to 1."""
    read = entries_of(task_key, candidate.text)
    nearness = read.nearness()
    styles = [_style(entry.output, besides=entry.text) for entry in read.entries]
    nearest = int(np.argmax(nearness)) if nearness else 0
    features = [*_of_nearness(nearness), *_of_styles(styles, nearness, nearest), *_of_answers(read.entries)]
    if candidate.output is not None:
        features += _of_output(candidate.output, read, styles, nearness, nearest)
    return features


class _Style(NamedTuple):
    """How an entry's output is made: its words that are not of its text, the first word of all and the last."""

    words: Collection[str]
    opening: str
    closing: str


def _style(output: str, *, besides: str) -> _Style:
    words = _words(output)
    if not words:
        return _Style((), "", "")
    foreign = set(words) - set(_words(besides))
    return _Style(foreign or {words[0]}, words[0], words[-1])


def _of_nearness(nearness: Sequence[float]) -> list[float]:
    most = max(nearness, default=0.0)
    as_near = sum(one >= 0.99 * most and one > _NEAR / 2 for one in nearness)
    return [
        len(nearness) / _MOST_ENTRIES,
        sum(nearness) / _MOST_ENTRIES,
        most,
        as_near / _MOST_ENTRIES,
        sum(one > _NEAR for one in nearness) / _MOST_ENTRIES,
        nearness[0] if nearness else 0.0,
        nearness[-1] if nearness else 0.0,
    ]


def _of_styles(styles: Sequence[_Style], nearness: Sequence[float], nearest: int) -> list[float]:
    """How alike all are; how alike the nearest and the others, the near ones, the near and the far ones; and those that
    stand first and last.
    """
    near = [style for style, share in zip(styles, nearness, strict=True) if share > _NEAR]
    far = [style for style, share in zip(styles, nearness, strict=True) if share <= _NEAR]
    pairs = list(combinations(styles, 2))
    with_nearest = [(style, styles[nearest]) for place, style in enumerate(styles) if place != nearest]
    among_near = [_likeness(one, other) for one, other in combinations(near, 2)]
    in_order = [(styles[0], styles[1]), (styles[0], styles[-1]), (styles[-2], styles[-1])] if len(styles) > 1 else []
    return [
        *_alike(pairs),
        min((_likeness(one, other) for one, other in pairs), default=0.0),
        *_alike(with_nearest),
        _mean(among_near, default=_UNKNOWN),
        min(among_near, default=_UNKNOWN),
        _mean((_likeness(one, other) for one, other in product(near, far)), default=_UNKNOWN),
        *([_likeness(one, other) for one, other in in_order] or [_UNKNOWN] * 3),
    ]


def _of_answers(entries: Sequence[Entry]) -> list[float]:
    """How many differ; and where they are scores, their mean and spread."""
    numbers = [number for entry in entries if (number := _number(entry.output)) is not None]
    return [
        len({entry.output for entry in entries}) / _MOST_ENTRIES,
        _mean(numbers, default=_UNKNOWN),
        float(np.std(numbers)) if numbers else 0.0,
    ]


def _of_output(
    output: str, read: Entries, styles: Sequence[_Style], nearness: Sequence[float], nearest: int
) -> list[float]:
    own = _style(output, besides=read.question)
    likeness = [_likeness(own, style) for style in styles]
    near = [one for one, share in zip(likeness, nearness, strict=True) if share > _NEAR]
    number = _number(output)
    return [
        *_alike([(own, style) for style in styles]),
        max(likeness, default=0.0),
        *_alike([(own, styles[nearest])] if styles else []),
        _mean(near, default=_UNKNOWN),
        len(_words(output)) / _LONG_OUTPUT,
        _UNKNOWN if number is None else number,
    ]


def _alike(pairs: Sequence[tuple[_Style, _Style]]) -> list[float]:
    """Over the pairs: the mean likeness, and the shares that open and that close alike."""
    return [
        _mean((_likeness(one, other) for one, other in pairs), default=0.0),
        _mean((one.opening == other.opening for one, other in pairs), default=0.0),
        _mean((one.closing == other.closing for one, other in pairs), default=0.0),
    ]


def _likeness(one: _Style, other: _Style) -> float:
    """The words that both have among those that either has (Jaccard)."""
    mine, theirs = set(one.words), set(other.words)
    return len(mine & theirs) / max(1, len(mine | theirs))


def _mean(values: Iterable[float], *, default: float) -> float:
    found = list(values)
    return float(np.mean(found)) if found else default


def _number(output: str) -> float | None:
    """A score as a share of the highest; None where it is none."""
    first = output.strip()[:1]
    return int(first) / _HIGHEST_SCORE if first and first in "012345" else None


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _roots(text: str) -> set[str]:
    return {word[:_ROOT] for word in _words(text) if len(word) >= _ROOT}
