"""A task as JSON: the form in which a workspace defines a task of its own, and in which every task can be read.

The form is the catalogue's: `key`, `title`, `kind`, `fields`, `input`, `query`, `document`, `entry`, `prompt`, `pair`
or `completion`, `labels`, `rating`, `metrics`. A definition is plain data: its templates put values into places and do
nothing else, and how its query is found is one of three forms. Everything in it has a bound.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from lamp.catalogue import ACCURACY, F1, MAE, RMSE, ROUGE_1, ROUGE_L
from lamp.definition_parts import DefinitionProblem, Parts
from lamp.task_trials import trial_problems
from lamp.tasks import (
    After,
    Around,
    Completion,
    Entry,
    InsertedAfter,
    Kind,
    Metric,
    Pair,
    Prompt,
    Query,
    Rating,
    Task,
    TwoQuoted,
    Whole,
    json_type,
)
from lamp.templates import Template

METRICS: Final[Mapping[Kind, tuple[Metric, ...]]] = {
    Kind.CLASSIFICATION: (ACCURACY, F1),
    Kind.RATING: (MAE, RMSE),
    Kind.GENERATION: (ROUGE_1, ROUGE_L),
}
"""What can be measured of a task of each kind."""

# Stored definitions are read within the same bounds: none may be lowered.
LONGEST_KEY: Final = 60
LONGEST_TITLE: Final = 200
LONGEST_INPUT: Final = 4_000
"""Characters of what a model is asked: a list of labels stands in it."""
LONGEST_TEMPLATE: Final = 500
"""Characters of any other template, so that entries still have room in a prompt of 512 tokens."""
LONGEST_MARKER: Final = 100
MOST_FIELDS: Final = 20
MOST_LABELS: Final = 500
LONGEST_LABEL: Final = 100
MOST_RESERVED: Final = 100
"""Tokens that may be kept free by number."""
HIGHEST_RATING: Final = 1_000_000

# What a document has beside its fields.
RESERVED_FIELDS: Final = frozenset({"id", "date"})
OWN_KEY_FORM: Final = "[a-z][a-z0-9-]{0,59}"
"""What a workspace may call a task of its own (a regular expression)."""
RESERVED_KEYS: Final = "lamp-"
"""How no key of a workspace's own begins: the catalogue's keys do, in whatever spelling."""

_OWN_KEY: Final = re.compile(OWN_KEY_FORM, re.ASCII)
_WORD: Final = re.compile(r"\w{1,50}")


class InvalidDefinition(ValueError):
    """A definition that makes no task; `problems` says everything that is wrong with it."""

    def __init__(self, problems: list[DefinitionProblem]) -> None:
        super().__init__("; ".join(f"{problem.pointer or 'the definition'} {problem.message}" for problem in problems))
        self.problems = tuple(problems)


def task_from(definition: object) -> Task:
    """The task that `definition` (JSON as Python has it) writes; raises `InvalidDefinition`."""
    task, problems = _read(definition)
    if task is None:
        raise InvalidDefinition(problems)
    return task


def own_task_from(definition: object) -> Task:
    """The task that a workspace defines: its key is no other's, and a trial has shown that it can be used.

    Raises `InvalidDefinition`.
    """
    task, problems = _read(definition)
    key = definition.get("key") if isinstance(definition, Mapping) else None
    if isinstance(key, str) and not any(problem.pointer == "/key" for problem in problems):
        problems += own_key_problems(key)
    if task is not None and not problems:
        problems = trial_problems(task)
    if task is None or problems:
        raise InvalidDefinition(problems)
    return task


def own_key_problems(key: str) -> list[DefinitionProblem]:
    """What keeps a workspace from calling its own task `key`."""
    if _OWN_KEY.fullmatch(key) is None:
        remedy = f"Use lower-case letters, digits and hyphens, a letter first, {LONGEST_KEY} characters at most."
        return [DefinitionProblem("/key", "is no key for a task of one's own", remedy)]
    if key.startswith(RESERVED_KEYS):
        remedy = f"Choose a key that does not begin with “{RESERVED_KEYS}”."
        return [DefinitionProblem("/key", "is kept for the catalogue", remedy)]
    return []


def definition_of(task: Task) -> dict[str, Any]:
    """The definition of `task`, with every default written out: `task_from` makes an equal task of it."""
    definition: dict[str, Any] = {
        "key": task.key,
        "title": task.title,
        "kind": str(task.kind),
        "fields": list(task.fields),
        "input": task.input.source,
        "query": _query_definition(task.query),
        "document": task.document.source,
        "entry": {
            "template": task.entry.template.source,
            "cut": task.entry.cut,
            "fixed": task.entry.fixed.source if isinstance(task.entry.fixed, Template) else task.entry.fixed,
        },
        "prompt": _prompt_definition(task.prompt),
        "metrics": [metric.name for metric in task.metrics],
    }
    match task.pair:
        case Pair(input=question, output=answer):
            definition["pair"] = {"input": question.source, "output": answer.source}
        case Completion(text=text, input=question):
            definition["completion"] = {"text": text.source, "input": question.source}
    if task.labels is not None:
        definition["labels"] = list(task.labels)
    if task.rating is not None:
        rating = task.rating
        definition["rating"] = {"field": rating.field, "lowest": rating.lowest, "highest": rating.highest}
    return definition


def _query_definition(query: Query) -> dict[str, Any]:
    match query:
        case After(marker):
            return {"form": "after", "marker": marker}
        case TwoQuoted(opening, middle):
            return {"form": "two-quoted", "opening": opening, "middle": middle}
        case Whole():
            return {"form": "whole"}


def _prompt_definition(prompt: Prompt) -> dict[str, Any]:
    counted = {"template": prompt.template.source, "reserved": prompt.reserved, "reserved_for": prompt.reserved_for}
    match prompt:
        case Around():
            return {"form": "around", **counted}
        case InsertedAfter(word=word):
            return {"form": "inserted-after", "word": word, **counted}


# --- Reading, part by part -------------------------------------------------------------------------------------------


def _read(definition: object) -> tuple[Task | None, list[DefinitionProblem]]:
    """The task, or None and what is wrong: there is a task exactly where there is no problem."""
    problems: list[DefinitionProblem] = []
    if not isinstance(definition, Mapping):
        wrong = DefinitionProblem("", f"is {json_type(definition)}, not an object", "Write the task as an object.")
        return None, [wrong]
    whole = Parts(definition, pointer="", problems=problems)
    key = whole.text("key", longest=LONGEST_KEY)
    title = whole.text("title", longest=LONGEST_TITLE)
    kind = _kind(whole)
    fields = whole.names("fields", most=MOST_FIELDS, reserved=RESERVED_FIELDS)
    input_template = whole.template("input", longest=LONGEST_INPUT, allowed=None)
    if input_template is not None:
        _require_place(whole, "input", input_template)
        if len(input_template.fields) > MOST_FIELDS:
            whole.problem("input", f"names more than {MOST_FIELDS} fields", "Name fewer.")
    query = _query(whole)
    document = _text_of_document(whole, "document", fields)
    entry = _entry(whole, fields)
    prompt = _prompt(whole)
    pair = _pair(whole, fields)
    rating = _rating(whole, kind, fields)
    labels = _labels(whole, kind, rating)
    metrics = _metrics(whole, kind)
    whole.finish()
    if problems:
        return None, problems
    assert key and title and kind and fields and input_template  # noqa: PT018 (each is there, or a problem)
    assert query and document and entry and prompt and metrics  # noqa: PT018
    return Task(
        key=key,
        title=title,
        kind=kind,
        fields=fields,
        input=input_template,
        query=query,
        document=document,
        entry=entry,
        prompt=prompt,
        metrics=metrics,
        pair=pair,
        labels=labels,
        rating=rating,
    ), problems


def _kind(whole: Parts) -> Kind | None:
    name = whole.choice("kind", [str(kind) for kind in Kind])
    return Kind(name) if name is not None else None


def _query(whole: Parts) -> Query | None:
    part = whole.part("query")
    if part is None:
        return None
    query: Query | None = None
    match part.choice("form", ("after", "two-quoted", "whole")):
        case "after":
            marker = part.text("marker", longest=LONGEST_MARKER, lines=True)
            query = After(marker) if marker else None
        case "two-quoted":
            opening = part.text("opening", longest=LONGEST_MARKER, lines=True)
            middle = part.text("middle", longest=LONGEST_MARKER, lines=True)
            query = TwoQuoted(opening, middle) if opening and middle else None
        case "whole":
            query = Whole()
        case None:
            return None
    part.finish()
    return query


def _entry(whole: Parts, fields: tuple[str, ...] | None) -> Entry | None:
    part = whole.part("entry")
    if part is None:
        return None
    cut = part.text("cut", longest=LONGEST_TITLE)
    if cut is not None and fields is not None and cut not in fields:
        part.problem("cut", "is none of the fields", f"Name the field that may be cut: one of {', '.join(fields)}.")
        cut = None
    template = part.template(
        "template", longest=LONGEST_TEMPLATE, allowed=fields, needed=() if cut is None or fields is None else (cut,)
    )
    fixed: Template | int | None = None
    if part.has("fixed"):
        others = None if fields is None else tuple(name for name in fields if name != cut)
        fixed = part.template_or_integer("fixed", longest=LONGEST_TEMPLATE, allowed=others, highest=LONGEST_TEMPLATE)
    elif template is not None and cut is not None:
        fixed = template.without(cut)
    part.finish()
    return None if template is None or cut is None or fixed is None else Entry(template, cut=cut, fixed=fixed)


def _prompt(whole: Parts) -> Prompt | None:
    part = whole.part("prompt")
    if part is None:
        return None
    prompt: Prompt | None = None
    match part.choice("form", ("around", "inserted-after")):
        case "around":
            both = ("entries", "input")
            template = part.template("template", longest=LONGEST_TEMPLATE, allowed=both, needed=both)
            reserved = _reserved(part, template)
            prompt = Around(template, *reserved) if template and reserved else None
        case "inserted-after":
            word = part.text("word", longest=LONGEST_MARKER)
            if word is not None and _WORD.fullmatch(word) is None:
                part.problem("word", "is not one word", "Write one word of the input, of letters, digits and _.")
                word = None
            alone = ("entries",)
            template = part.template("template", longest=LONGEST_TEMPLATE, allowed=alone, needed=alone)
            reserved = _reserved(part, template)
            prompt = InsertedAfter(word, template, *reserved) if word and template and reserved else None
        case None:
            return None
    part.finish()
    return prompt


def _reserved(part: Parts, template: Template | None) -> tuple[int, str] | None:
    """How many tokens to keep free, and for which words: the template's own where the definition does not say."""
    by_number, by_words = part.has("reserved"), part.has("reserved_for")
    number: int | None = 0
    words: str | None = ""
    if by_number:
        number = part.integer("reserved", lowest=0, highest=MOST_RESERVED)
    if by_words:
        words = part.text("reserved_for", longest=LONGEST_TEMPLATE, lines=True, blank=True)
    if not by_number and not by_words and template is not None:
        words = " ".join(" ".join(template.literals).split())
    return None if number is None or words is None else (number, words)


def _pair(whole: Parts, fields: tuple[str, ...] | None) -> Pair | Completion | None:
    has_pair, has_completion = whole.has("pair"), whole.has("completion")
    if has_pair and has_completion:
        whole.problem("completion", "stands beside a pair", "Give a pair or a completion, not both.")
    if has_pair:
        part = whole.part("pair")
        if part is None:
            return None
        question = part.template("input", longest=LONGEST_INPUT, allowed=fields)
        answer = _text_of_document(part, "output", fields)
        part.finish()
        return Pair(question, answer) if question and answer else None
    if has_completion:
        part = whole.part("completion")
        if part is None:
            return None
        text = _text_of_document(part, "text", fields)
        question = part.template("input", longest=LONGEST_INPUT, allowed=("first",), needed=("first",))
        part.finish()
        return Completion(text, question) if text and question else None
    return None


def _rating(whole: Parts, kind: Kind | None, fields: tuple[str, ...] | None) -> Rating | None:
    if not whole.has("rating"):
        if kind is Kind.RATING:
            whole.problem("rating", "is missing", "Add the scale: its field, its lowest and its highest number.")
        return None
    if kind not in (Kind.RATING, None):
        whole.problem("rating", "belongs to tasks of the kind rating", "Leave it out, or make the task one of them.")
    part = whole.part("rating")
    if part is None:
        return None
    field = part.text("field", longest=LONGEST_TITLE)
    if field is not None and fields is not None and field not in fields:
        part.problem("field", "is none of the fields", f"Name the field of the number: one of {', '.join(fields)}.")
    lowest = part.integer("lowest", lowest=0, highest=HIGHEST_RATING)
    highest = part.integer("highest", lowest=0, highest=HIGHEST_RATING)
    part.finish()
    if field is None or lowest is None or highest is None:
        return None
    if lowest >= highest:
        part.problem("highest", "is not above the lowest", "Write a higher number.")
        return None
    return Rating(field, lowest, highest)


def _labels(whole: Parts, kind: Kind | None, rating: Rating | None) -> tuple[str, ...] | None:
    if not whole.has("labels"):
        if kind is Kind.CLASSIFICATION:
            whole.problem("labels", "is missing", "Add the labels between which the task chooses.")
        return None
    if kind is Kind.GENERATION:
        whole.problem("labels", "belongs to tasks that choose an answer", "Leave it out, or change the kind.")
    labels = whole.texts("labels", fewest=2, most=MOST_LABELS, longest=LONGEST_LABEL)
    if labels is None or rating is None:
        return labels
    for place, label in enumerate(labels):
        if not rating.holds(label):
            wanted = f"number from {rating.lowest} to {rating.highest}"
            whole.problem("labels", f"is no {wanted}", f"Write a {wanted}.", place=place)
    return labels


def _metrics(whole: Parts, kind: Kind | None) -> tuple[Metric, ...] | None:
    known = {metric.name: metric for metric in METRICS[kind]} if kind else {}
    names = whole.texts("metrics", fewest=1, most=2, longest=LONGEST_MARKER)
    if names is None or kind is None:
        return None
    for place, name in enumerate(names):
        if name not in known:
            message = f"is no metric of tasks of the kind {kind}"
            whole.problem("metrics", message, f"Write one of {', '.join(known)}.", place=place)
    return tuple(known[name] for name in names if name in known)


def _text_of_document(part: Parts, name: str, fields: tuple[str, ...] | None) -> Template | None:
    """A template over the fields that says something of each document."""
    template = part.template(name, longest=LONGEST_TEMPLATE, allowed=fields)
    return template if template is not None and _require_place(part, name, template) else None


def _require_place(part: Parts, name: str, template: Template) -> bool:
    if not template.fields:
        part.problem(name, "names no field, so that it would always be the same", "Write {name} for a field.")
    return bool(template.fields)
