"""Ids in addresses: `<external:user_id>` is the client's own name for something, `<id:job_id>` one of our numbers."""

import re
from typing import Any, Final

from django.urls import register_converter

MOST_CHARACTERS: Final = 255
# No "/", which servers cannot tell from a separator once it is decoded.
_UNFIT: Final = r"/\x00-\x1f\x7f-\x9f"


def stands_in_an_address(external_id: str) -> bool:
    """Whether a client's name for something can be a part of an address, whatever its length."""
    return external_id not in (".", "..") and not re.search(f"[{_UNFIT}]", external_id)


class ExternalId:
    """1 to 255 characters, neither "/" nor a control character."""

    regex = f"[^{_UNFIT}]{{1,{MOST_CHARACTERS}}}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: Any) -> str:
        return str(value)


class Number:
    """A row's number, as large as the database can hold at most."""

    regex = r"[1-9][0-9]{0,17}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: Any) -> str:
        return str(int(value))


def register() -> None:
    """Make both known to Django's `path`."""
    register_converter(ExternalId, "external")
    register_converter(Number, "id")
