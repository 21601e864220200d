"""Long lists on pages in any order that an index has: each page begins behind the last row of the one before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import QuerySet
from django.http import QueryDict

from common.api.pagination import list_name, page_of
from common.api.problems import Problem

ROWS: Final = 50


@dataclass(frozen=True)
class KeysetPage:
    """Some rows; the query strings of those that follow (None: these are the last) and of the first ones."""

    rows: list[Any]
    following: str | None
    first: str
    is_first: bool


def keyset_page(
    rows: QuerySet[Any],
    *,
    order: Sequence[str],
    query: QueryDict,
    bound_to: str,
    parameter: str = "after",
    size: int = ROWS,
) -> KeysetPage:
    """The rows behind the place that `parameter` of the query string names; a place of no such list is ignored.

    `order` and `bound_to` are those of `common.api.pagination.page_of`. The other parameters are kept.
    """
    first = query.copy()
    first.pop(parameter, None)
    name = list_name(bound_to, parameter)
    place: str | None = query.get(parameter) or None
    try:
        found, cursor = page_of(rows, order=order, limit=size, cursor=place, bound_to=name)
    except Problem:
        place = None
        found, cursor = page_of(rows, order=order, limit=size, cursor=None, bound_to=name)
    following = None
    if cursor is not None:
        behind = first.copy()
        behind[parameter] = cursor
        following = behind.urlencode()
    return KeysetPage(rows=found, following=following, first=first.urlencode(), is_first=place is None)
