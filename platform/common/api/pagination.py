"""Pages by keyset: each begins behind the last row of the one before, however the table has grown meanwhile.

A cursor holds the last row's values of the ordering, signed together with the list it belongs to, so a damaged one, or
one of another list, workspace or ordering, is found out.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from django.core import signing
from django.db.models import Field, Model, Q, QuerySet
from rest_framework import serializers

from common.api.problems import FieldError, Problem, invalid_input
from common.api.serializers import IntegerField, QuerySerializer, StringField

MOST: Final = 200
DEFAULT: Final = 50

Row = TypeVar("Row")


class PageQuery(QuerySerializer):
    """The parameters of every list. A list with filters adds its own in a subclass."""

    limit = IntegerField(
        min_value=1, max_value=MOST, default=DEFAULT, help_text="How many to answer with at most, 1 to 200."
    )
    cursor = StringField(
        required=False, max_length=2_000, help_text="The `next_cursor` of the page before; the first page has none."
    )


def page_of(
    rows: QuerySet[Any], *, order: Sequence[str], limit: int, cursor: str | None, bound_to: str
) -> tuple[list[Any], str | None]:
    """One page of `rows`, and the cursor of the next or None.

    `order` names columns of the rows' own model, the last of which is unique among them, none of which is null, each
    with "-" in front where it descends. `bound_to` is what a cursor belongs to: the list and whose it is.

    Raises `Problem` 400 for a cursor that is not of this list.
    """
    columns = [_Column(rows.model, name) for name in order]
    signer = signing.Signer(salt=f"common.api.pagination:{bound_to}:{','.join(order)}")
    rows = rows.order_by(*order)
    if cursor is not None:
        rows = rows.filter(_behind(columns, _opened(cursor, signer, columns)))
    found = list(rows[: limit + 1])
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    values = [column.field.value_to_string(last) for column in columns]
    return found[:limit], signer.sign_object(values)


def page_of_list(
    rows: Sequence[Row], *, limit: int, cursor: str | None, bound_to: str
) -> tuple[Sequence[Row], str | None]:
    """One page of what is computed anew for each, and the cursor of the next or None: it says how far one has come.

    Raises `Problem` 400 for a cursor that is not of this list.
    """
    signer = signing.Signer(salt=f"common.api.pagination:{bound_to}:list")
    first = 0
    if cursor is not None:
        try:
            first = int(signer.unsign_object(cursor))
        except Exception:  # noqa: BLE001 (whatever a forged text makes the decoders raise)
            raise no_cursor() from None
    beyond = first + limit
    return rows[first:beyond], signer.sign_object(beyond) if beyond < len(rows) else None


def no_cursor() -> Problem:
    """The cursor is damaged, or of another list."""
    remedy = "Send the next_cursor of a page of it, or start anew."
    return invalid_input(FieldError("?cursor", "This is no cursor of this list.", remedy))


def list_name(*parts: object) -> str:
    """A short name for what a cursor belongs to, from whatever tells lists apart."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


class _Column:
    def __init__(self, model: type[Model], name: str) -> None:
        self.name = name.removeprefix("-")
        self.descends = name.startswith("-")
        field = model._meta.pk if self.name == "pk" else model._meta.get_field(self.name)
        assert isinstance(field, Field)
        self.field: Field[Any, Any] = field

    @property
    def beyond(self) -> str:
        return f"{self.name}__{'lt' if self.descends else 'gt'}"


def _opened(cursor: str, signer: signing.Signer, columns: list[_Column]) -> list[Any]:
    try:
        values = signer.unsign_object(cursor)
        return [column.field.to_python(value) for column, value in zip(columns, values, strict=True)]
    except Exception:  # noqa: BLE001 (whatever a forged text makes the decoders raise)
        raise no_cursor() from None


def _behind(columns: list[_Column], values: list[Any]) -> Q:
    found = Q()
    equal = Q()
    for column, value in zip(columns, values, strict=True):
        found |= equal & Q(**{column.beyond: value})
        equal &= Q(**{column.name: value})
    if len(columns) > 1:
        # What PostgreSQL needs to begin at the right place of an index.
        found &= Q(**{f"{columns[0].beyond}e": values[0]})
    return found


class Page(serializers.Serializer):
    """Documents what a list answers; see `page_schema`."""

    next_cursor = serializers.CharField(
        allow_null=True, help_text="The cursor of the next page; null where this is the last one."
    )


def page_schema(
    row: type[serializers.BaseSerializer] | serializers.Field, *, name: str
) -> type[serializers.Serializer]:
    """The serializer class, for the API's description alone, of a page of `row`. `name` names it there."""
    data = row(many=True) if isinstance(row, type) else serializers.ListField(child=row)
    return type(f"{name}Page", (Page,), {"data": data, "__doc__": ""})
