"""φ_q and what a retriever reads of a document (LaMP reference §2), and a task's input made of its values."""

import re
from collections.abc import Mapping
from typing import Any

from lamp.tasks import After, Task, TwoQuoted, Whole


class MissingMarker(ValueError):
    """An input lacks the words by which the task finds its query or the place of its entries.

    The message holds no text of the input.
    """


def query_of(task: Task, input_text: str) -> str:
    """φ_q: what of the input is asked of a retriever; raises `MissingMarker`."""
    match task.query:
        case After(marker):
            _, found, rest = input_text.partition(marker)
            if not found:
                raise MissingMarker(f"the input lacks {marker!r}, after which {task.key} has its query")
            return rest.strip()
        case TwoQuoted(opening, middle):
            return " ".join(_two_quoted(task, input_text, opening=opening, middle=middle))
        case Whole():
            return input_text.strip()


def _two_quoted(task: Task, input_text: str, *, opening: str, middle: str) -> tuple[str, str]:
    start = input_text.find(opening)
    if start < 0:
        raise MissingMarker(f"the input lacks {opening!r}, with which the first reference of {task.key} begins")
    start += len(opening)
    end = input_text.rfind(middle, start)
    if end < 0:
        raise MissingMarker(f"the input lacks {middle!r} between the two references of {task.key}")
    return input_text[start:end], input_text[end + len(middle) :].rstrip().removesuffix('"')


def end_of_word(task: Task, input_text: str, word: str) -> int:
    """Where the input's first `word` (no part of a longer one) ends; raises `MissingMarker`."""
    found = re.search(rf"\b{re.escape(word)}\b", input_text)
    if found is None:
        raise MissingMarker(f"the input lacks the word {word!r}, after which {task.key} has its profile")
    return found.end()


def document_text(task: Task, fields: Mapping[str, Any]) -> str:
    """What a retriever reads of a document; `fields` are those of its profile entry."""
    return task.document.fill(fields)


def input_of(task: Task, values: Mapping[str, Any]) -> str:
    """The task's input filled with `values`; which names it needs: `task.input.fields`."""
    return task.input.fill(values)
