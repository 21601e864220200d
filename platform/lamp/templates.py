"""Text templates that can only put values into places: `{field}`, nothing else.

A task's texts (entry, prompt, training pair ...) are data, and may be written by a workspace's staff, so a template
must not be able to run code or to reach into an object: no attribute, index, conversion or format of `str.format`.
Values are put in literally and in one pass; braces in a value stay what they are.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}|[{}]")


class TemplateError(ValueError):
    """The template's own text is wrong: a brace that neither names a field nor is doubled."""


class MissingField(ValueError):
    """A template names a field that the values don't have."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the field {name!r} is missing")
        self.field = name


@dataclass(frozen=True)
class Template:
    """A parsed template; `{{` and `}}` stand for literal braces.

    >>> Template('"{title}" is the title').fill({"title": "On {braces}"})
    '"On {braces}" is the title'
    """

    source: str
    literals: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The texts around the places: one more than there are places."""
    fields: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The field named at each place, in order, repetitions included."""

    def __post_init__(self) -> None:
        literals, names, literal, end = [], [], "", 0
        for token in _TOKEN.finditer(self.source):
            literal += self.source[end : token.start()]
            end = token.end()
            if token[1] is not None:
                literals.append(literal)
                names.append(token[1])
                literal = ""
            elif token[0] in ("{{", "}}"):
                literal += token[0][0]
            else:
                where, brace = token.start() + 1, token[0]
                raise TemplateError(
                    f"a single {brace!r} at character {where}: write {{name}} for a field, {brace * 2} for a brace"
                )
        literals.append(literal + self.source[end:])
        object.__setattr__(self, "literals", tuple(literals))
        object.__setattr__(self, "fields", tuple(names))

    def fill(self, values: Mapping[str, object]) -> str:
        """The text with every place filled.

        Raises `MissingField`, and `TypeError` for a value that is neither text nor a number.
        """
        parts = [self.literals[0]]
        for name, literal in zip(self.fields, self.literals[1:], strict=True):
            parts.append(field_text(values, name))
            parts.append(literal)
        return "".join(parts)

    def without(self, name: str) -> "Template":
        """The template with the places of the field `name` left empty.

        >>> Template('"{title}" is the title for "{text}"').without("text").source
        '"{title}" is the title for ""'
        """
        places = ["" if field == name else f"{{{field}}}" for field in self.fields]
        texts = [literal.replace("{", "{{").replace("}", "}}") for literal in self.literals]
        return Template(texts[0] + "".join(place + text for place, text in zip(places, texts[1:], strict=True)))


def field_text(values: Mapping[str, object], name: str) -> str:
    """A field's value as it stands in texts: a string as it is, a number as Python writes it.

    Raises as `Template.fill`.
    """
    if name not in values:
        raise MissingField(name)
    value = values[name]
    if isinstance(value, str):
        return value
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"the field {name!r} is neither text nor a number but {type(value).__name__}")
