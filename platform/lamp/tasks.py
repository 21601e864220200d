"""The forms of which a task is made: what an entry of the catalogue, or a workspace's own row, may say.

Every form is immutable plain data over templates that cannot run code, so that a task can be stored, compared and
named by a digest.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from lamp.templates import Template


class Kind(StrEnum):
    """What an answer is: one of the labels, a number on a scale, or a text."""

    CLASSIFICATION = "classification"
    RATING = "rating"
    GENERATION = "generation"


class InvalidTask(ValueError):
    """An entry contradicts itself, for example by a template that names a field the task doesn't have."""


@dataclass(frozen=True)
class Metric:
    """A metric by its name in reports."""

    name: str
    higher_is_better: bool


# --- φ_q: what of an input is asked of a retriever -------------------------------------------------------------------


@dataclass(frozen=True)
class After:
    """The query is what stands after the first `marker`, stripped."""

    marker: str


@dataclass(frozen=True)
class TwoQuoted:
    """The query is two quoted texts, joined by a blank.

    The first runs from the first `opening` to the last `middle`, the second is what follows less its final quote: both
    may hold quotes themselves.
    """

    opening: str
    middle: str


@dataclass(frozen=True)
class Whole:
    """The query is the whole input, stripped."""


Query = After | TwoQuoted | Whole


# --- φ_p: how documents stand in a prompt ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """How one document stands in a prompt (PPEP).

    `cut` is the variable field: its text is cut to the tokens that the budget leaves. `fixed` says what the rest of the
    entry costs: a template whose tokens are counted (without the variable text), or a number of tokens.
    """

    template: Template
    cut: str
    fixed: Template | int


@dataclass(frozen=True)
class Around:
    """The whole prompt (AIP) as a template over `entries` and `input`."""

    template: Template
    reserved: int = 1
    """Tokens kept free for what the template adds, beside those between the entries."""
    reserved_for: str = ""
    """A text whose tokens (end token included) are kept free too; empty: none."""


@dataclass(frozen=True)
class InsertedAfter:
    """The whole prompt (AIP) is the input with `template`, over `entries`, put right after the first word `word`."""

    word: str
    template: Template
    reserved: int = 0
    reserved_for: str = ""


Prompt = Around | InsertedAfter


# --- CONVERT: how a document becomes a training pair -----------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """A training pair made of a document's fields."""

    input: Template
    output: Template


@dataclass(frozen=True)
class Completion:
    """A training pair made by splitting a text: `input` is filled with its `first` part, the output is the rest."""

    text: Template
    input: Template


# --- A task ----------------------------------------------------------------------------------------------------------


_NUMBER = re.compile(r"\s*[0-9]{1,9}(\.[0-9]{1,9})?\s*", re.ASCII)


@dataclass(frozen=True)
class Rating:
    """The scale of a rating task, and the profile field that holds a number on it."""

    field: str
    lowest: int
    highest: int

    def holds(self, value: object) -> bool:
        """Whether `value` (a number, or a string that writes one in digits) lies on the scale."""
        if isinstance(value, str):
            return _NUMBER.fullmatch(value) is not None and self.lowest <= float(value) <= self.highest
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return bool(self.lowest <= value <= self.highest)
        return False


class FieldProblem(NamedTuple):
    """What is wrong with one field of a profile entry; never holds the field's value."""

    field: str
    message: str
    remedy: str


@dataclass(frozen=True)
class Task:
    """One task, immutable; `version` names its exact content."""

    key: str
    title: str
    kind: Kind
    fields: tuple[str, ...]
    """The fields of a profile entry, beside its id and, in the time-based separation, its date."""
    input: Template
    """The task's input from named values: what files and API clients send is this text already filled."""
    query: Query
    document: Template
    """What a retriever reads of a document."""
    entry: Entry
    prompt: Prompt
    metrics: tuple[Metric, ...]
    """The first is the primary one."""
    pair: Pair | Completion | None = None
    """None: text completion of the document's text."""
    labels: tuple[str, ...] | None = None
    rating: Rating | None = None

    def __post_init__(self) -> None:
        for part, template, allowed in self._templates():
            unknown = sorted(set(template.fields) - set(allowed))
            if unknown:
                raise InvalidTask(
                    f"{self.key}: the {part} names {', '.join(unknown)}, which is none of: {', '.join(allowed)}"
                )
        if self.entry.cut not in self.entry.template.fields:
            raise InvalidTask(f"{self.key}: the entry doesn't hold the field to cut, {self.entry.cut}")
        if "entries" not in self.prompt.template.fields:
            raise InvalidTask(f"{self.key}: the prompt doesn't hold the entries")
        if isinstance(self.prompt, Around) and "input" not in self.prompt.template.fields:
            raise InvalidTask(f"{self.key}: the prompt doesn't hold the input")
        if not self.metrics:
            raise InvalidTask(f"{self.key}: there is no metric")
        if self.kind is Kind.CLASSIFICATION and not self.labels:
            raise InvalidTask(f"{self.key}: a classification needs labels")
        if self.kind is Kind.RATING and self.rating is None:
            raise InvalidTask(f"{self.key}: a rating needs a scale")
        if self.rating is not None and self.rating.field not in self.fields:
            raise InvalidTask(f"{self.key}: the rating's field {self.rating.field} is no field of the profile")

    def _templates(self) -> Iterator[tuple[str, Template, tuple[str, ...]]]:
        """Every template over profile fields or fixed names, with the names it may use."""
        yield "document text", self.document, self.fields
        yield "entry", self.entry.template, self.fields
        if isinstance(self.entry.fixed, Template):
            yield (
                "fixed part of the entry",
                self.entry.fixed,
                tuple(name for name in self.fields if name != self.entry.cut),
            )
        yield "prompt", self.prompt.template, ("entries", "input") if isinstance(self.prompt, Around) else ("entries",)
        if isinstance(self.pair, Pair):
            yield "pair's input", self.pair.input, self.fields
            yield "pair's output", self.pair.output, self.fields
        elif isinstance(self.pair, Completion):
            yield "completion's text", self.pair.text, self.fields
            yield "completion's input", self.pair.input, ("first",)

    @property
    def variable_field(self) -> str:
        """The field that is cut where the token budget demands it."""
        return self.entry.cut

    @property
    def primary_metric(self) -> Metric:
        return self.metrics[0]

    @property
    def opening(self) -> str:
        """The words with which every input of the task begins."""
        return self.input.literals[0].strip()

    @property
    def file_key(self) -> str:
        """The task's name in LaMP's output files: `LaMP_4`."""
        return self.key.replace("-", "_")

    @cached_property
    def version(self) -> str:
        """SHA-256 (hex) of the whole entry: equal exactly where every part is equal."""
        return hashlib.sha256(json.dumps(_described(self), sort_keys=True, ensure_ascii=True).encode()).hexdigest()

    def field_problems(self, values: Mapping[str, Any]) -> list[FieldProblem]:
        """What keeps `values` from being a profile entry: missing fields, wrong types, a number off the scale."""
        problems = []
        for name in self.fields:
            if name not in values:
                problems.append(
                    FieldProblem(
                        name,
                        "is missing",
                        f"give every profile entry of {self.key} the fields {', '.join(self.fields)}",
                    )
                )
            elif self.rating is not None and name == self.rating.field:
                if not self.rates(values[name]):
                    low, high = self.rating.lowest, self.rating.highest
                    problems.append(
                        FieldProblem(name, f"is no number from {low} to {high}", f"write a number from {low} to {high}")
                    )
            elif not isinstance(values[name], str):
                problems.append(
                    FieldProblem(
                        name,
                        f"is {json_type(values[name])}, not a text",
                        "write a string, empty where there is no text",
                    )
                )
        return problems

    def rates(self, value: object) -> bool:
        """Whether `value` (a number, or a string that writes one in digits) lies on the task's scale."""
        return self.rating is not None and self.rating.holds(value)


def _described(value: Any) -> Any:
    """The value as plain JSON, in which two entries are equal exactly where they mean the same."""
    if isinstance(value, Template):
        return value.source
    if is_dataclass(value):
        return {"form": type(value).__name__} | {
            part.name: _described(getattr(value, part.name)) for part in fields(value)
        }
    if isinstance(value, tuple):
        return [_described(item) for item in value]
    return value


def json_type(value: object) -> str:
    """What `value` is in JSON, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float | Decimal):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list | tuple) else "an object"
