"""ROUGE-1 and ROUGE-L F-measures, equal to those of `rouge_score` without stemming, and faster.

Sources: Lin, "ROUGE: a Package for Automatic Evaluation of Summaries" (2004), as the rouge_score package computes it
(LaMP reference §7); the length of the longest common subsequence by bit vectors: Hyyrö, "Bit-Parallel LCS-length
Computation Revisited" (2004).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

_TOKEN = re.compile(r"[a-z0-9]+")


class Rouge(NamedTuple):
    """F-measures between 0 and 1."""

    rouge_1: float
    rouge_l: float


def rouge(prediction: str, gold: str) -> Rouge:
    """Both F-measures of one text against another; 0 where either has no token.

    >>> rouge("the cat sat", "the cat")
    Rouge(rouge_1=0.8, rouge_l=0.8)
    """
    predicted, wanted = tokens(prediction), tokens(gold)
    if not predicted or not wanted:
        return Rouge(0.0, 0.0)
    return Rouge(
        f_measure(_common(predicted, wanted), len(predicted), len(wanted)),
        f_measure(lcs_length(predicted, wanted), len(predicted), len(wanted)),
    )


def tokens(text: str) -> list[str]:
    """Runs of a-z and 0-9 of the lower-cased text."""
    return _TOKEN.findall(text.lower())


def f_measure(matches: int, predicted: int, wanted: int) -> float:
    """The harmonic mean of precision and recall, in the order of operations that rouge_score uses."""
    precision, recall = matches / predicted, matches / wanted
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def lcs_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence; the rows of the usual table are the bits of one integer.

    >>> lcs_length("a b c d".split(), "b x d".split())
    2
    """
    if len(first) < len(second):
        first, second = second, first
    places: dict[str, int] = {}
    bit = 1
    for token in second:
        places[token] = places.get(token, 0) | bit
        bit <<= 1
    everything = bit - 1
    # A zero bit marks a row at which the length grows by one.
    growth = everything
    for token in first:
        match = places.get(token)
        if match is not None:
            kept = growth & match
            growth = ((growth + kept) | (growth - kept)) & everything
    return len(second) - growth.bit_count()


def _common(predicted: list[str], wanted: list[str]) -> int:
    return (Counter(predicted) & Counter(wanted)).total()
