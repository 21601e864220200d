"""Reading one object of a task's definition part by part: each fault is a problem with its place and its remedy."""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from lamp.tasks import json_type
from lamp.templates import Template, TemplateError

# Enough to act on; a definition may hold thousands of faults.
MOST_PROBLEMS: Final = 50
NAME_FORM: Final = "[A-Za-z_][A-Za-z0-9_]{0,39}"
"""What a field may be called (a regular expression)."""
_NAME: Final = re.compile(NAME_FORM, re.ASCII)
_LONGEST_SHOWN: Final = 40
_MISSING: Final = object()


class DefinitionProblem(NamedTuple):
    """One thing that is wrong with a definition; `pointer` is a JSON pointer to it, empty for the whole."""

    pointer: str
    message: str
    remedy: str


class Parts:
    """An object of a definition. Its parts are read by name; `finish` tells the names that nothing has asked for.

    A part that is missing or wrong is read as None, and adds to `problems`.
    """

    def __init__(self, value: Mapping[str, Any], *, pointer: str, problems: list[DefinitionProblem]) -> None:
        self._value = value
        self._pointer = pointer
        self._problems = problems
        self._asked: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether the part is there."""
        self._asked.add(name)
        return name in self._value

    def problem(self, name: str, message: str, remedy: str, *, place: int | None = None) -> None:
        """Say what is wrong with the part `name`, or with what stands at one `place` of a list."""
        if len(self._problems) < MOST_PROBLEMS:
            pointer = self._at(name) + ("" if place is None else f"/{place}")
            self._problems.append(DefinitionProblem(pointer, message, remedy))

    def finish(self) -> None:
        """Say which names stand here that no task has."""
        known = ", ".join(sorted(self._asked))
        for name in self._value:
            if name not in self._asked:
                self.problem(name, "is no part of a task here", f"Leave it out; the parts here are {known}.")

    def text(self, name: str, *, longest: int, lines: bool = False, blank: bool = False) -> str | None:
        """A text of at most `longest` characters, as `text_flaw` wants it."""
        value = self._required(name)
        if value is _MISSING:
            return None
        flaw = text_flaw(value, longest=longest, lines=lines, blank=blank)
        if flaw is not None:
            self.problem(name, *flaw)
            return None
        assert isinstance(value, str)
        return value

    def template_or_integer(
        self, name: str, *, longest: int, allowed: Sequence[str] | None, highest: int
    ) -> Template | int | None:
        """A template, which may be blank, or a whole number from 0 to `highest`."""
        if isinstance(self._value.get(name), str):
            return self.template(name, longest=longest, allowed=allowed, blank=True)
        return self.integer(name, lowest=0, highest=highest)

    def integer(self, name: str, *, lowest: int, highest: int) -> int | None:
        """A whole number from `lowest` to `highest`."""
        value = self._required(name)
        if value is _MISSING:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            wanted = f"whole number from {lowest:,} to {highest:,}"
            self.problem(name, f"is no {wanted}", f"Write a {wanted}.")
            return None
        return value

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        """One of the words `choices`."""
        value = self._required(name)
        if value is _MISSING:
            return None
        if not isinstance(value, str) or value not in choices:
            known = ", ".join(choices)
            self.problem(name, f"is none of: {known}", f"Write one of {known}.")
            return None
        return value

    def texts(self, name: str, *, fewest: int, most: int, longest: int) -> tuple[str, ...] | None:
        """A list of different texts, each without blanks around it."""
        value = self._required(name)
        if value is _MISSING:
            return None
        if not isinstance(value, list) or not fewest <= len(value) <= most:
            wanted = f"list of {fewest:,} to {most:,} texts"
            self.problem(name, f"is no {wanted}", f"Write a {wanted}.")
            return None
        sound = True
        for place, item in enumerate(value):
            flaw = text_flaw(item, longest=longest)
            if flaw is None and item != item.strip():
                flaw = "has blanks around it", "Leave them out."
            if flaw is None and item in value[:place]:
                flaw = "stands here twice", "Write each once."
            if flaw is not None:
                self.problem(name, *flaw, place=place)
                sound = False
        return tuple(value) if sound else None

    def names(self, name: str, *, most: int, reserved: Collection[str]) -> tuple[str, ...] | None:
        """A list of different names of fields, none of them `reserved`."""
        found = self.texts(name, fewest=1, most=most, longest=_LONGEST_SHOWN)
        if found is None:
            return None
        sound = True
        for place, item in enumerate(found):
            if _NAME.fullmatch(item) is None:
                remedy = "Use letters, digits and underscores, and begin with no digit; 40 characters at most."
                self.problem(name, "cannot be named in a template", remedy, place=place)
                sound = False
            elif item in reserved:
                remedy = f"Call the field otherwise: {' and '.join(sorted(reserved))} stand beside the fields."
                self.problem(name, "is a name that every document has", remedy, place=place)
                sound = False
        return found if sound else None

    def template(
        self,
        name: str,
        *,
        longest: int,
        allowed: Sequence[str] | None,
        needed: Collection[str] = (),
        blank: bool = False,
    ) -> Template | None:
        """A template that names only `allowed` fields (None: any), each once, and all those `needed`."""
        source = self.text(name, longest=longest, lines=True, blank=blank)
        if source is None:
            return None
        try:
            template = Template(source)
        except TemplateError as error:
            message, _, remedy = str(error).partition(": ")
            self.problem(name, f"has {message}", f"{remedy[:1].upper()}{remedy[1:]}.")
            return None
        before = len(self._problems)
        for field in dict.fromkeys(template.fields):
            self._check_field(name, field, template=template, allowed=allowed)
        for field in needed:
            if field not in template.fields:
                remedy = f"Write {{{field}}} where it belongs."
                self.problem(name, f"does not hold {{{field}}}, which would be lost", remedy)
        return template if len(self._problems) == before else None

    def part(self, name: str) -> "Parts | None":
        """The object `name`."""
        value = self._required(name)
        if value is _MISSING:
            return None
        if not isinstance(value, Mapping):
            self.problem(name, f"is {json_type(value)}, not an object", "Write an object.")
            return None
        return Parts(value, pointer=self._at(name), problems=self._problems)

    def _check_field(self, name: str, field: str, *, template: Template, allowed: Sequence[str] | None) -> None:
        if allowed is not None and field not in allowed:
            known = ", ".join(allowed)
            self.problem(name, f"names {shown(field)}, which is none of: {known}", f"Name only these: {known}.")
        elif _NAME.fullmatch(field) is None:
            self.problem(name, f"names {shown(field)}, which is too long", "Use names of 40 characters at most.")
        elif template.fields.count(field) > 1:
            self.problem(name, f"names {shown(field)} more than once", "Name each field once.")

    def _required(self, name: str) -> Any:
        self._asked.add(name)
        if name not in self._value:
            self.problem(name, "is missing", "Add it.")
        return self._value.get(name, _MISSING)

    def _at(self, name: str) -> str:
        return f"{self._pointer}/" + shown(name).replace("~", "~0").replace("/", "~1")


def text_flaw(value: object, *, longest: int, lines: bool = False, blank: bool = False) -> tuple[str, str] | None:
    """What is wrong with a text and what to do; None for one that can be used.

    It has at most `longest` characters, no control characters but, with `lines`, line breaks and tabs, and says
    something unless it may be `blank`.
    """
    if not isinstance(value, str):
        return f"is {json_type(value)}, not a text", "Write a string."
    if not blank and not value.strip():
        return "is empty", "Write a text."
    if len(value) > longest:
        return f"is longer than {longest:,} characters", "Shorten it."
    allowed = "\n\t" if lines else ""
    if any(unicodedata.category(sign) in ("Cc", "Cs") and sign not in allowed for sign in value):
        return "holds control characters or half a character", "Leave them out."
    return None


def shown(name: str) -> str:
    """A name as it may stand in a message: short, in one line."""
    printable = name if name.isprintable() else ascii(name)[1:-1]
    return printable if len(printable) <= _LONGEST_SHOWN else printable[: _LONGEST_SHOWN - 1] + "…"
