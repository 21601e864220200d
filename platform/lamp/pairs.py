"""CONVERT: a document becomes a training pair (Table 4 of the paper; LaMP reference §5)."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from lamp.tasks import Completion, Pair, Task
from lamp.templates import Template

_COMPLETE = Template("Complete the following text: {first}")

_DRAWS = 1 << 64


class TrainingPair(NamedTuple):
    input: str
    output: str


def pair_of(task: Task, fields: Mapping[str, Any]) -> TrainingPair:
    """The training pair of one document; the same fields always give the same pair.

    A task without a form for pairs learns to complete its documents' texts (section 3.2 of the paper).
    """
    match task.pair:
        case Pair(input=question, output=answer):
            return TrainingPair(question.fill(fields), answer.fill(fields))
        case Completion(text=text, input=question):
            return _completion(text.fill(fields), question)
        case None:
            return _completion(task.document.fill(fields), _COMPLETE)


def _completion(text: str, question: Template) -> TrainingPair:
    first, second = split_text(text)
    return TrainingPair(question.fill({"first": first}), second)


def split_text(text: str) -> tuple[str, str]:
    """The text's first 10 % to 25 % of words (uniform, floored) and the rest, each joined by blanks.

    The draw depends on the text alone. No part is empty where the text has a word: each takes at least one, and a
    text's only word stands in both.
    """
    words = text.split()
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    draw = int.from_bytes(digest[:8], "big")
    # floor(n · (10 + 15 u) / 100) with u = draw / 2^64, in whole numbers: no rounding of floats decides.
    size = len(words) * (10 * _DRAWS + 15 * draw) // (100 * _DRAWS)
    size = max(size, 1)
    return " ".join(words[:size]), " ".join(words[size:] or words[-1:])
