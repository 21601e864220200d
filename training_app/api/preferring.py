"""`Prefer: wait=S` (RFC 7240): a client that would rather wait a little than ask again."""

import re
from collections.abc import Mapping
from typing import Final

from drf_spectacular.utils import OpenApiParameter

from training_app.waiting import MOST_SECONDS

HEADER: Final = "Prefer"
APPLIED_HEADER: Final = "Preference-Applied"
_WAIT: Final = re.compile(r'wait\s*=\s*"?([0-9]{1,9})"?', re.IGNORECASE)

PARAMETER: Final = OpenApiParameter(
    HEADER,
    {"type": "string", "pattern": "^[ -~]*$", "maxLength": 200},
    OpenApiParameter.HEADER,
    description=f"`wait=S`: wait up to S seconds, {MOST_SECONDS} at most, for the end. Anything else is ignored.",
)


def preferred_wait(headers: Mapping[str, str]) -> int | None:
    """The seconds that the client would wait, 60 at most; None where it does not say. What cannot be read is ignored.

    >>> [preferred_wait({"Prefer": said}) for said in ("wait=5", "respond-async, wait=900", "wait=long")]
    [5, 60, None]
    """
    for preference in headers.get(HEADER, "").split(","):
        found = _WAIT.fullmatch(preference.partition(";")[0].strip())
        if found:
            return min(int(found[1]), MOST_SECONDS)
    return None


def applied(seconds: int | None) -> dict[str, str]:
    """The header that says so."""
    return {} if seconds is None else {APPLIED_HEADER: f"wait={seconds}"}
