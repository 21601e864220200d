"""The ways of answering that an experiment compares, and their names in commands, reports and addresses.

A method is a family of the paper's comparison (LaMP reference §1) with what the family leaves open: the retriever of
RAG, the rank of PEFT's adapters, both for PEFT-RAG. Its key is text: `none`, `rag:bm25`, `peft:8`, `peft-rag:best:8`.
Predictions made elsewhere stand beside them under the name they were given: `imported:my-system`.

Beside a personalized method may stand its control, the same with another user's profile or adapter or both:
`rag:bm25@swapped`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from retrieval_app.retrievers import TITLES

BEST = "best"
"""Stands for the retriever that was best on the task's dev split."""

MAX_RANK = 256

SWAPPED = "swapped"
"""The control that answers each user's questions with another user's profile, adapter or both."""

CONTROLS = (SWAPPED,)
"""Every control that an experiment may ask for."""

_RANK = re.compile(r"[0-9]{1,3}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHOWN = 60


class Family(StrEnum):
    """The four families of methods, and what was predicted elsewhere."""

    NONE = "none"
    RAG = "rag"
    PEFT = "peft"
    PEFT_RAG = "peft-rag"
    IMPORTED = "imported"

    @property
    def retrieves(self) -> bool:
        return self in (Family.RAG, Family.PEFT_RAG)

    @property
    def adapts(self) -> bool:
        return self in (Family.PEFT, Family.PEFT_RAG)

    @property
    def personalizes(self) -> bool:
        return self.retrieves or self.adapts

    @property
    def heading(self) -> str:
        return self.value.capitalize() if self in (Family.NONE, Family.IMPORTED) else self.value.upper()


class MethodError(ValueError):
    """A method that cannot be read.

    `token` is what was written, `place` where in the list of methods it stood (from 0), `problem` what is wrong with
    it; `str()` says what is allowed instead.
    """

    def __init__(self, token: str, problem: str, *, place: int = 0) -> None:
        self.token = token
        self.problem = problem
        self.place = place
        shown = token if len(token) <= _SHOWN else token[:_SHOWN] + "…"
        super().__init__(f"method {shown!r}: {problem}; allowed are {allowed_methods()}")


RETRIEVERS: Mapping[str, str] = TITLES
"""Every retriever that a method may name, with its title."""


def retriever_title(name: str) -> str:
    """What a retriever is called in a table's head; its name where this installation does not know it."""
    return RETRIEVERS.get(name, name)


def allowed_methods() -> str:
    """What a method may look like, for messages and for a command's help."""
    retriever = "|".join((*RETRIEVERS, BEST))
    return f"none, rag:({retriever}), peft:(rank 1..{MAX_RANK}), peft-rag:({retriever}):(rank 1..{MAX_RANK})"


@dataclass(frozen=True, slots=True)
class Method:
    """One column of the comparison. Raises ValueError where the family and its parts do not belong together.

    Published results name retrievers that this installation may not know, so a retriever is checked when a method is
    parsed, not here.
    """

    family: Family
    retriever: str | None = None
    rank: int | None = None
    label: str | None = None
    control: str | None = None

    def __post_init__(self) -> None:
        if (self.retriever is not None) != self.family.retrieves:
            raise ValueError(f"{self.family} {'needs a' if self.family.retrieves else 'takes no'} retriever")
        if (self.rank is not None) != self.family.adapts:
            raise ValueError(f"{self.family} {'needs a' if self.family.adapts else 'takes no'} rank")
        if self.rank is not None and not 1 <= self.rank <= MAX_RANK:
            raise ValueError(f"a rank is between 1 and {MAX_RANK}")
        if (self.label is not None) != (self.family is Family.IMPORTED):
            raise ValueError(f"{self.family} {'takes no' if self.label is not None else 'needs a'} label")
        if self.label is not None and not _LABEL.fullmatch(self.label):
            raise ValueError(
                "a label has up to 64 letters, digits, dots, hyphens and underscores, and begins with a letter or digit"
            )
        if self.control is not None and (self.control not in CONTROLS or not self.family.personalizes):
            raise ValueError(f"{self.family} has no such control; those of personalized methods: {', '.join(CONTROLS)}")

    @property
    def key(self) -> str:
        """The canonical text, which `parse_method` reads back."""
        parts = (self.family.value, self.retriever, None if self.rank is None else str(self.rank), self.label)
        key = ":".join(part for part in parts if part is not None)
        return key if self.control is None else f"{key}@{self.control}"

    @property
    def title(self) -> str:
        """The head of the method's column: `None`, `RAG BM25`, `PEFT r=8`, `PEFT-RAG best r=8`."""
        words = [self.family.heading]
        if self.retriever is not None:
            words.append(BEST if self.retriever == BEST else RETRIEVERS.get(self.retriever, self.retriever.upper()))
        if self.rank is not None:
            words.append(f"r={self.rank}")
        if self.label is not None:
            words.append(self.label)
        if self.control is not None:
            words.append(self.control)
        return " ".join(words)

    def controlled(self, control: str) -> "Method":
        """The control of this method. Raises ValueError where it can have none."""
        return replace(self, control=control)

    @property
    def own(self) -> "Method":
        """The method that this one is the control of; the method itself where it is none."""
        return replace(self, control=None)

    def __str__(self) -> str:
        return self.key


NONE = Method(Family.NONE)
"""No personalization: what every other method is compared with."""


def parse_method(text: str) -> Method:
    """Read one method; capitals and blanks around its parts do not matter. Raises `MethodError`.

    >>> parse_method("PEFT-RAG:bm25:8").key
    'peft-rag:bm25:8'
    """
    token = text.strip()
    if not token:
        raise MethodError(token, "is empty")
    method, marked, control = (part.strip() for part in token.partition("@"))
    own = _parse_own(method, token)
    if not marked:
        return own
    try:
        return own.controlled(control.lower())
    except ValueError as error:
        raise MethodError(token, str(error)) from None


def _parse_own(text: str, token: str) -> Method:
    name, *parts = (part.strip() for part in text.split(":"))
    try:
        family = Family(name.lower())
    except ValueError:
        raise MethodError(token, "is of no known family") from None
    expected = family.retrieves + family.adapts + (family is Family.IMPORTED)
    if len(parts) != expected:
        raise MethodError(token, f"{family} takes {('nothing', 'one part', 'two parts')[expected]} after it")
    if family is Family.IMPORTED:
        return _imported(parts[0], token)
    retriever = _retriever(parts[0].lower(), token) if family.retrieves else None
    rank = _rank(parts[-1], token) if family.adapts else None
    return Method(family, retriever, rank)


def parse_methods(text: str) -> list[Method]:
    """Read the comma-separated methods that an experiment is to run, in their order. Raises as `read_methods`."""
    return read_methods(text.split(","))


def read_methods(tokens: Iterable[str]) -> list[Method]:
    """Read the methods that an experiment is to run, in their order.

    Raises `MethodError` for one that is wrong, comes twice or cannot be run.
    """
    methods: list[Method] = []
    for place, token in enumerate(tokens):
        try:
            method = parse_method(token)
        except MethodError as error:
            raise MethodError(error.token, error.problem, place=place) from None
        problem = None
        if method.family is Family.IMPORTED:
            problem = "was predicted elsewhere and cannot be run"
        elif method.control is not None:
            problem = f"is a control: ask for its method, and for controls {method.control}"
        elif method in methods:
            problem = "comes twice"
        if problem is not None:
            raise MethodError(token.strip(), problem, place=place)
        methods.append(method)
    return methods


def _imported(part: str, token: str) -> Method:
    try:
        return Method(Family.IMPORTED, label=part)
    except ValueError as error:
        raise MethodError(token, str(error)) from None


def _retriever(part: str, token: str) -> str:
    if part not in RETRIEVERS and part != BEST:
        raise MethodError(token, "names no known retriever")
    return part


def _rank(part: str, token: str) -> int:
    if not _RANK.fullmatch(part) or not 1 <= int(part) <= MAX_RANK:
        raise MethodError(token, f"its rank is no whole number between 1 and {MAX_RANK}")
    return int(part)
