"""Filters of the admin's lists. None looks for its choices in the table that it filters, nor tells of others' rows."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from django.contrib import admin
from django.db.models import Field, QuerySet
from django.http import HttpRequest

from common.workspace_access import granted_rows

_MOST_CHOICES: Final = 100

Choices = Callable[[HttpRequest], Iterable[tuple[str, str]]]


class GrantedRelatedFilter(admin.RelatedFieldListFilter):
    """A choice among the rows that whoever asks may see, the first hundred by their number."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[Any, Any]]:
        rows = granted_rows(field.remote_field.model._default_manager.all(), request)
        return [(row.pk, str(row)) for row in rows.order_by("pk")[:_MOST_CHOICES]]


def choice_filter(lookup: str, *, title: str, choices: Choices) -> type[admin.SimpleListFilter]:
    """A filter of one value of `lookup` among `choices`, which are known without a look into the table."""
    given_title = title

    class ChoiceFilter(admin.SimpleListFilter):
        title = given_title
        parameter_name = lookup

        def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
            return list(choices(request))[:_MOST_CHOICES]

        def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
            known = {value for value, _ in self.lookup_choices}
            return queryset.filter(**{lookup: self.value()}) if self.value() in known else queryset

    return ChoiceFilter


def is_relation(model: type[Any], name: str) -> bool:
    """Whether `name` is a foreign key of `model`."""
    field: Field = model._meta.get_field(name.split("__")[0])
    return "__" not in name and field.is_relation
