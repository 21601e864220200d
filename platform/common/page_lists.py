"""Long lists on pages: a page at a time by the newest first, and nothing counts them."""

from dataclasses import dataclass
from typing import Any, Final

from django.db.models import QuerySet
from django.http import QueryDict

ROWS: Final = 50


@dataclass(frozen=True)
class ListPage:
    """Some rows of a list, and the query string of those after them, None where these are the last."""

    rows: list[Any]
    older: str | None
    is_first: bool


def page_of_list(rows: QuerySet[Any], *, query: QueryDict, size: int = ROWS) -> ListPage:
    """The rows before number `before` of the query string, the newest first. A `before` that is no number is ignored.

    The other parameters of the query string are kept in `older`.
    """
    before = query.get("before", "")
    known = before.isdecimal() and len(before) < 19
    found = list((rows.filter(pk__lt=int(before)) if known else rows).order_by("-pk")[: size + 1])
    older = None
    if len(found) > size:
        following = query.copy()
        following["before"] = str(found[size - 1].pk)
        older = following.urlencode()
    return ListPage(rows=found[:size], older=older, is_first=not known)
