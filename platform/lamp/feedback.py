"""From an answer that its reader accepted back to a profile's document: the way of `lamp.pairs`, reversed.

A task's training pair says which fields of a document are the question and which one is the answer. So an input and
an accepted answer make a document where the pair's input can be read back to its fields.
"""

from collections.abc import Mapping
from typing import Any

from lamp.tasks import Completion, Pair, Task
from lamp.templates import Template


class NoDocument(ValueError):
    """The input and the answer do not make a document of the task; the message says why, and holds none of either."""


def document_of(task: Task, *, input_text: str, answer: str) -> dict[str, Any]:
    """The fields of the document that `answer` to `input_text` makes, the date aside.

    A task whose pairs go from some fields to one: these are read back from the input, and the answer is the one. A
    task that learns to complete its documents' texts: the answer is such a text.

    Raises `NoDocument` where they do not make one.

    >>> from lamp.catalogue import get_task
    >>> document_of(get_task("LaMP-4"), input_text="Generate a headline for the following article: Rain.", answer="Wet")
    {'text': 'Rain.', 'title': 'Wet'}
    """
    answer_field = _answer_field(task)
    if task.labels is not None and answer not in task.labels:
        raise NoDocument(f"the answer is none of the labels of {task.key}")
    values: dict[str, Any] = {}
    if isinstance(task.pair, Pair):
        values = dict(_read_back(task.pair.input, input_text, of=task))
    values[answer_field] = answer
    missing = [name for name in task.fields if name not in values]
    if missing:
        raise NoDocument(f"a document of {task.key} has also {', '.join(missing)}, which the input does not say")
    return {name: values[name] for name in task.fields}


def _answer_field(task: Task) -> str:
    """The field that an answer stands for."""
    match task.pair:
        case Pair(output=output):
            whole = output
        case Completion(text=text):
            whole = text
        case None:
            whole = task.document
    if len(whole.fields) != 1 or any(literal.strip() for literal in whole.literals):
        raise NoDocument(f"an answer of {task.key} is no field of its documents")
    return whole.fields[0]


def _read_back(template: Template, text: str, *, of: Task) -> Mapping[str, str]:
    """The values with which `template` gives `text`. Raises `NoDocument` where there are none, or several ways."""
    literals = template.literals
    unreadable = NoDocument(f"the input is not of the form in which {of.key} has its training pairs")
    if len(text) < len(literals[0]) + len(literals[-1]):
        raise unreadable
    if not (text.startswith(literals[0]) and text.endswith(literals[-1])):
        raise unreadable
    rest = text[len(literals[0]) : len(text) - len(literals[-1])]
    values: dict[str, str] = {}
    for name, literal in zip(template.fields[:-1], literals[1:-1], strict=True):
        # A literal that stands twice may be part of a value: then nobody knows where that ends.
        if not literal or rest.count(literal) != 1:
            raise unreadable
        value, _, rest = rest.partition(literal)
        if values.setdefault(name, value) != value:
            raise unreadable
    if template.fields and values.setdefault(template.fields[-1], rest) != rest:
        raise unreadable
    return values
