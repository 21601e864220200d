"""What of OpenAI's parameters means nothing here: what may stand there all the same, and what is refused.

Refused is whatever would change the answer there and cannot here: an answer that silently ignores what was asked is
worse than none. Null is the same as leaving a parameter out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from common.api.problems import FieldError, invalid_input, pointer

_BEAMS: Final = "Answers are found by beam search, which draws nothing."
_ONE: Final = "Each request has one answer."
_NO_TOOLS: Final = "The model calls no tools."
_TEXT: Final = "The model writes plain text."
_NO_PROBABILITIES: Final = "Probabilities of tokens are not given."


@dataclass(frozen=True)
class _Fixed:
    """A parameter that may only say what is so anyway."""

    values: tuple[Any, ...]
    why: str


_FIXED: Final[Mapping[str, _Fixed]] = {
    "temperature": _Fixed((1, 0), _BEAMS),
    "top_p": _Fixed((1,), _BEAMS),
    "frequency_penalty": _Fixed((0,), _BEAMS),
    "presence_penalty": _Fixed((0,), _BEAMS),
    "logit_bias": _Fixed(({},), _BEAMS),
    "n": _Fixed((1,), _ONE),
    "best_of": _Fixed((1,), _ONE),
    "echo": _Fixed((False,), "The prompt is not repeated."),
    "suffix": _Fixed(("",), "The model writes no text between two others."),
    "stop": _Fixed(("", []), "The model ends its answers by itself."),
    "logprobs": _Fixed((False,), _NO_PROBABILITIES),
    "top_logprobs": _Fixed((0,), _NO_PROBABILITIES),
    "tools": _Fixed(([],), _NO_TOOLS),
    "tool_choice": _Fixed(("none", "auto"), _NO_TOOLS),
    "functions": _Fixed(([],), _NO_TOOLS),
    "function_call": _Fixed(("none", "auto"), _NO_TOOLS),
    "response_format": _Fixed(({"type": "text"},), _TEXT),
    "modalities": _Fixed((["text"],), _TEXT),
    "audio": _Fixed((), _TEXT),
    "verbosity": _Fixed(("medium",), "How long an answer is the task decides."),
    "reasoning_effort": _Fixed(("none",), "The model answers without reasoning."),
    "web_search_options": _Fixed((), "The model searches no web; see “method” and “retriever”."),
    "moderation": _Fixed((), "Nothing is moderated."),
    "store": _Fixed((False,), "There is no such store; see GET /api/v1/generations."),
}
# They change no answer.
_IGNORED: Final = frozenset(
    {
        "metadata",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
    }
)


def without_foreign(body: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of `body` that are read here. Raises `Problem` 400 for each that asks for what cannot be had."""
    given = {name: value for name, value in body.items() if value is not None and name not in _IGNORED}
    errors = [
        FieldError(pointer(name), f"This cannot be chosen. {_FIXED[name].why}", _remedy(_FIXED[name]))
        for name, value in given.items()
        if name in _FIXED and not any(_is_same(value, fixed) for fixed in _FIXED[name].values)
    ]
    if errors:
        raise invalid_input(*errors)
    return {name: value for name, value in given.items() if name not in _FIXED}


def _is_same(value: Any, fixed: Any) -> bool:
    # To Python, true is 1.
    return isinstance(value, bool) == isinstance(fixed, bool) and bool(value == fixed)


def _remedy(fixed: _Fixed) -> str:
    # Of empty texts, lists and objects there is nothing to show.
    shown = " or ".join(json.dumps(value) for value in fixed.values if value or value == 0)
    return f"Leave it out, or send {shown}." if shown else "Leave it out."
