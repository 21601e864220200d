"""What a document is: its canonical form, its digest and its date."""

import hashlib
import json
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any

from lamp.dates import date_key


def canonical_fields(fields: Mapping[str, Any]) -> str:
    """The fields as canonical JSON: sorted keys, no blanks, text as it is. Raises ValueError for NaN and infinity.

    >>> canonical_fields({"text": "a", "date": 2009})
    '{"date":2009,"text":"a"}'
    """
    # Imports make one a document: of a text, the plain case, nothing but its quoting is needed.
    members = [
        f"{encode_basestring(name)}:{encode_basestring(value) if type(value) is str else _canonical(value)}"
        for name, value in sorted(fields.items())
    ]
    return "{" + ",".join(members) + "}"


def document_digest(fields: Mapping[str, Any]) -> bytes:
    """sha256 of the fields as canonical JSON in UTF-8. The date is one of the fields.

    >>> document_digest({"text": "a", "date": 2009}) == document_digest({"date": 2009, "text": "a"})
    True
    """
    return hashlib.sha256(canonical_fields(fields).encode()).digest()


def document_date_key(fields: Mapping[str, Any]) -> list[int] | None:
    """The date among `fields` as the list of ints by which dates are ordered, None without one."""
    date = fields.get("date")
    return None if date is None else list(date_key(date))


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
