"""What a document is: its canonical form, its digest and its date."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, Final

from lamp.dates import date_key

_TEXT: Final = {str}
# What JSON writes as an escape inside a string, and the quotes around it.
_ESCAPED: Final = bytes(range(0x20)) + b'"\\'


def canonical_fields(fields: Mapping[str, Any]) -> bytes:
    """The fields as canonical JSON in UTF-8: sorted keys, no blanks, text as it is.

    Raises ValueError for NaN, infinity and lone surrogates.

    >>> canonical_fields({"text": "a", "date": 2009})
    b'{"date":2009,"text":"a"}'
    """
    # An import makes one of every entry. Most are texts without a character to be escaped: these are put between their
    # quotes and looked at together.
    names, form, quotes = _form(tuple(fields))
    values = [fields[name] for name in names]
    if _TEXT.issuperset(map(type, values)):
        canonical = (form % tuple(values)).encode()
        if len(canonical) - len(canonical.translate(None, _ESCAPED)) == quotes:
            return canonical
        return (form % tuple([encode_basestring(value)[1:-1] for value in values])).encode()
    return json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def document_digest(fields: Mapping[str, Any]) -> bytes:
    """sha256 of the fields as canonical JSON. The date is one of the fields.

    >>> document_digest({"text": "a", "date": 2009}) == document_digest({"date": 2009, "text": "a"})
    True
    """
    return hashlib.sha256(canonical_fields(fields)).digest()


def document_date_key(fields: Mapping[str, Any]) -> list[int] | None:
    """The date among `fields` as the list of ints by which dates are ordered, None without one."""
    date = fields.get("date")
    return None if date is None else list(date_key(date))


@lru_cache(maxsize=100)
def _form(names: tuple[str, ...]) -> tuple[list[str], str, int]:
    """The names sorted, the canonical form with "%s" for the text of each, and how many escaped characters it has."""
    ordered = sorted(names)
    members = [json.dumps(name, ensure_ascii=False).replace("%", "%%") + ':"%s"' for name in ordered]
    form = "{" + ",".join(members) + "}"
    return ordered, form, sum(map(_ESCAPED.__contains__, form.encode()))
