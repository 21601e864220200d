"""The JSON schema of a task's definition, for the API's description; `lamp.task_definitions` is what checks."""

from typing import Any, Final

from lamp import task_definitions as bounds
from lamp.definition_parts import NAME_FORM
from lamp.tasks import Kind


def _text(longest: int, description: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest, "description": description}


def _whole(lowest: int, highest: int, description: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": lowest, "maximum": highest, "description": description}


def _object(description: str, required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "required": list(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


def _form(name: str, description: str, parts: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return _object(description, {"form": {"type": "string", "enum": [name]}, **parts}, optional)


_MARKER: Final = _text(bounds.LONGEST_MARKER, "Words of the input.")
_TEMPLATE: Final = bounds.LONGEST_TEMPLATE
_COUNTED: Final = {
    "reserved": _whole(0, bounds.MOST_RESERVED, "Tokens kept free for the prompt's own words."),
    "reserved_for": {
        "type": "string",
        "maxLength": _TEMPLATE,
        "description": "A text whose tokens are kept free. Without both, the template's own words are.",
    },
}

NEW_DEFINITION: Final[dict[str, Any]] = _object(
    "A task in the catalogue's form. Templates put values into places: {name} for a field, {{ and }} for braces. "
    "No template names a field twice.",
    {
        "key": {
            "type": "string",
            "pattern": f"^{bounds.OWN_KEY_FORM}$",
            "description": f"What the task is called; it does not begin with “{bounds.RESERVED_KEYS}”.",
        },
        "title": _text(bounds.LONGEST_TITLE, "What it is called for people."),
        "kind": {
            "type": "string",
            "enum": [str(kind) for kind in Kind],
            "description": "Whether an answer is a label, a number or a text.",
        },
        "fields": {
            "type": "array",
            "minItems": 1,
            "maxItems": bounds.MOST_FIELDS,
            "uniqueItems": True,
            "items": {"type": "string", "pattern": f"^{NAME_FORM}$"},
            "description": "The fields of a document, beside id and date. Later versions have the same.",
        },
        "input": _text(bounds.LONGEST_INPUT, "A template of what a model is asked, over any names."),
        "query": {
            "description": "What of an input is asked of a retriever.",
            "oneOf": [
                _form("after", "What stands after the marker.", {"marker": _MARKER}),
                _form(
                    "two-quoted",
                    "Two quoted texts: from `opening` to the last `middle`, and from there to the last quote.",
                    {"opening": _MARKER, "middle": _MARKER},
                ),
                _form("whole", "All of it.", {}),
            ],
        },
        "document": _text(_TEMPLATE, "What a retriever reads of a document. Later versions have the same."),
        "entry": _object(
            "How one document stands in a prompt.",
            {
                "template": _text(_TEMPLATE, "A template over the fields."),
                "cut": {"type": "string", "description": "The field that is cut to what the token budget leaves."},
            },
            {
                "fixed": {
                    "description": "What the rest of the entry costs: a template whose tokens are counted, or a "
                    "number of tokens. Without it, the entry's own words are counted.",
                    "oneOf": [
                        {"type": "string", "maxLength": _TEMPLATE},
                        {"type": "integer", "minimum": 0, "maximum": _TEMPLATE},
                    ],
                }
            },
        ),
        "prompt": {
            "description": "The whole prompt.",
            "oneOf": [
                _form(
                    "around",
                    "The template is the prompt.",
                    {"template": _text(_TEMPLATE, "A template over {entries} and {input}.")},
                    _COUNTED,
                ),
                _form(
                    "inserted-after",
                    "The template stands in the input, right after its first such word.",
                    {
                        "word": {"type": "string", "minLength": 1, "maxLength": 50, "description": "A word."},
                        "template": _text(_TEMPLATE, "A template over {entries}."),
                    },
                    _COUNTED,
                ),
            ],
        },
        "metrics": {
            "type": "array",
            "minItems": 1,
            "maxItems": 2,
            "uniqueItems": True,
            "items": {
                "type": "string",
                "enum": [metric.name for metrics in bounds.METRICS.values() for metric in metrics],
            },
            "description": "What is measured; the first is the primary one. "
            + "; ".join(
                f"{kind}: {', '.join(metric.name for metric in metrics)}" for kind, metrics in bounds.METRICS.items()
            )
            + ".",
        },
    },
    {
        "pair": _object(
            "The training pair made of a document. Without pair and completion, the document's text is completed.",
            {
                "input": _text(bounds.LONGEST_INPUT, "A template over the fields."),
                "output": _text(_TEMPLATE, "A template over the fields."),
            },
        ),
        "completion": _object(
            "The training pair made by splitting a text of a document, instead of a pair.",
            {
                "text": _text(_TEMPLATE, "A template over the fields."),
                "input": _text(bounds.LONGEST_INPUT, "A template over {first}, the text's first part."),
            },
        ),
        "labels": {
            "type": "array",
            "minItems": 2,
            "maxItems": bounds.MOST_LABELS,
            "uniqueItems": True,
            "items": _text(bounds.LONGEST_LABEL, "A label."),
            "description": "The answers there are, of a classification or a rating.",
        },
        "rating": _object(
            "The scale of a rating.",
            {
                "field": {"type": "string", "description": "The field of a document that holds a number on it."},
                "lowest": _whole(0, bounds.HIGHEST_RATING, "The lowest number."),
                "highest": _whole(0, bounds.HIGHEST_RATING, "The highest number."),
            },
        ),
    },
)
"""What `POST /tasks` takes."""

_KEY: Final = {"type": "string", "minLength": 1, "maxLength": bounds.LONGEST_KEY, "description": "What it is called."}
DEFINITION: Final = {**NEW_DEFINITION, "properties": {**NEW_DEFINITION["properties"], "key": _KEY}}
"""What is answered: keys of the catalogue have a form of their own."""
