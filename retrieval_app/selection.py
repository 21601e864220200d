"""The scoring contract of selectors (RSPG, LaMP reference §3): which of a pool's retrievers an input is given.

A selector reads each candidate as a text, scores it by itself, and the highest score is chosen. This module says what
it reads and how the choice is made; the model itself runs in a worker.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from lamp.selector_texts import SelectorText
from retrieval_app.retrievers import RSPG_POST, RSPG_PRE

__all__ = ["POST", "PRE", "READS", "SelectorText", "choose", "selector_text"]

PRE = "pre"
"""Reads the prompt alone, so it chooses before anything is generated."""
POST = "post"
"""Reads the output too, so every candidate is generated first."""

READS: Final[Mapping[str, str]] = MappingProxyType({RSPG_PRE: PRE, RSPG_POST: POST})
"""What the selector of each retriever that chooses reads."""


def selector_text(*, reads: str, prompt: str, output: str | None) -> SelectorText:
    """What a selector that reads `PRE` or `POST` reads of the candidate that has this prompt and gave this output.

    Pre reads the prompt, lower-cased, and nothing else, whether or not there is an output. Post reads the same and, as
    a second segment, the output as it was generated. Raises ValueError where Post has no output.

    >>> selector_text(reads=POST, prompt="Paraphrase: Hello", output="Hi There")
    SelectorText(text='paraphrase: hello', output='Hi There')
    """
    if reads == PRE:
        return SelectorText(prompt.lower(), None)
    if reads != POST:
        raise ValueError(f"a selector reads {PRE} or {POST}")
    if output is None:
        raise ValueError("Post reads the output of every candidate: generate it first")
    return SelectorText(prompt.lower(), output)


def choose(scores: Sequence[float]) -> int:
    """The place of the highest score; of equal ones the first in the pool's order.

    Raises ValueError where there is no score, or one is not a number.
    """
    if len(scores) == 0:
        raise ValueError("there is no candidate to choose from")
    values = np.asarray(scores, dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError("a candidate's score is not a number")
    return int(values.argmax())
