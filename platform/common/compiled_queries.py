"""Queries that every request makes, compiled once.

Django composes a query's SQL anew each time the query is made, and that takes several times as long as PostgreSQL
takes to answer it. A `CompiledQuery` is written like any other query, and composed the first time only.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Field, Lookup, QuerySet, Value
from django.db.transaction import TransactionManagementError


@Field.register_lookup
class EqualsAny(Lookup):
    """`name__any=array`: what stands in an array of any length, which a list of `name__in` cannot be."""

    lookup_name = "any"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        left, left_params = self.process_lhs(compiler, connection)
        right, right_params = self.process_rhs(compiler, connection)
        return f"{left} = ANY({right})", (*left_params, *right_params)


class CompiledQuery:
    """A query whose conditions name parameters.

        _NAMED = CompiledQuery(lambda name: Person.objects.filter(name=name), Person._meta.get_field("name"))
        people = _NAMED(name)

    Args:
        build: Makes the QuerySet of a parameter for each of the fields, which it may compare with: `name=name`, or
            `name__any=names` where the parameter's type is an array.
        fields: The parameters' types, in the order in which their values are given. A foreign key takes an id.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, Any]], *fields: Field[Any, Any]) -> None:
        self._build = build
        self._fields = fields
        self._made: _Made | None = None

    def __call__(self, *values: Any) -> list[Any]:
        """What the query finds with these values: as the QuerySet gives it, by the thread's own connection.

        Raises `TransactionManagementError` for a query that locks, outside of a transaction.
        """
        made = self._made or self._make()
        # Django looks when it compiles, which is done once.
        if made.query.select_for_update and not connection.in_atomic_block:
            raise TransactionManagementError("select_for_update cannot be used outside of a transaction.")
        given = [field.get_db_prep_value(value, connection) for field, value in zip(self._fields, values, strict=True)]
        params = tuple(given[param.number] if isinstance(param, _Place) else param for param in made.params)
        # Django's own iteration, over a compiler that has the SQL already.
        compiler: Any = copy.copy(made.compiler)
        compiler.connection = connection
        compiler.as_sql = lambda *_, **__: (made.sql, params)
        query: Any = copy.copy(made.query)
        query.get_compiler = lambda *_, **__: compiler
        # Copied by hand: a QuerySet that is asked for a copy makes its query first.
        queryset: Any = object.__new__(type(made.queryset))
        queryset.__dict__ |= made.queryset.__dict__ | {"_query": query}
        return list(queryset._iterable_class(queryset))

    def first(self, *values: Any) -> Any:
        """The first of what the query finds, None where it finds nothing. It reads all: let the query name a limit."""
        return next(iter(self(*values)), None)

    def _make(self) -> _Made:
        queryset = self._build(*(_Parameter(_Place(number), field) for number, field in enumerate(self._fields)))
        compiler = queryset.query.get_compiler(connection=connection)
        sql, params = compiler.as_sql()
        self._made = _Made(queryset, queryset.query, compiler, sql, tuple(params))
        return self._made


class _Made(NamedTuple):
    """A query that was compiled; among its parameters are places for values."""

    queryset: QuerySet[Any, Any]
    query: Any
    compiler: Any
    sql: str
    params: tuple[Any, ...]


@dataclass(frozen=True)
class _Place:
    """Where the value of a parameter goes."""

    number: int


class _Parameter(Value):
    """Stands in a query for a value that is not known yet."""

    def __init__(self, place: _Place, field: Field[Any, Any]) -> None:
        super().__init__(place, output_field=field)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return "%s", (self.value,)
