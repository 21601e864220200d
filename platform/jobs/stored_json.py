"""JSON as PostgreSQL's `jsonb` can hold it, refused here with words that do not quote the value."""

import json
import re
from typing import Any, Final

_ESCAPED_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class NotStorable(ValueError):
    """The value has no form in `jsonb`."""

    safe_message = True


def dump(value: Any, *, what: str) -> str:
    """`value` as JSON text. Raises NotStorable, naming `what` alone, for what PostgreSQL would refuse."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise NotStorable(f"{what} is not plain JSON (text keys, numbers that are numbers, lists, objects)") from None
    if _ESCAPED_NUL.search(text):
        raise NotStorable(f"{what} holds a NUL character, which PostgreSQL cannot store")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotStorable(f"{what} holds half of a surrogate pair, which is no character") from None
    return text


def load(text: str) -> Any:
    """The value of JSON text as PostgreSQL gives it."""
    return json.loads(text)
