"""What every page of the admin has in common: whose rows it shows, and that it never counts or dumps a whole table."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from django.contrib import admin
from django.contrib.admin.utils import lookup_field
from django.contrib.admin.views.main import ORDER_VAR
from django.core.exceptions import FieldDoesNotExist
from django.core.paginator import Paginator
from django.db import models
from django.db.models import Q, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.text import smart_split, unescape_string_literal
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from common.admin_filters import GrantedRelatedFilter, is_relation
from common.models import IdempotencyRecord
from common.workspace_access import ADMIN, granted_rows, workspace_lookup, workspaces_granted

__all__ = ["BoundedPaginator", "GrantedAdmin", "InstallationAdmin", "ReadOnlyAdmin", "shortened"]

MOST_COUNTED: Final = 10_000
_MOST_WORDS: Final = 5
_LARGEST: Final = 2**63 - 1
_SHOWN: Final = 80


class BoundedPaginator(Paginator):
    """Counts no further than the pages that somebody would turn to: the table may hold millions."""

    @cached_property
    def count(self) -> int:
        """The number of rows, at most 10,000."""
        rows = self.object_list
        return rows.order_by()[:MOST_COUNTED].count() if isinstance(rows, QuerySet) else len(rows)


class _InOneOrder(ChangeList):
    """A list whose order a query string does not change: any column that is shown could be asked for."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet) -> list[str]:
        self.params.pop(ORDER_VAR, None)
        return super().get_ordering(request, queryset)


class BoundedAdmin(ModelAdmin):
    """Lists of any length. Search asks for exact numbers, and for texts as `search_fields` say."""

    paginator: Any = BoundedPaginator
    show_full_result_count = False
    # Counting for each choice of each filter would be asked for by a query string.
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 50
    # Sorting by a column without an index reads the table.
    sortable_by: Any = ()
    ordering: Any = ("-pk",)
    compressed_fields = True

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """The rows in which each word is found in one of `search_fields`, which are lookups as `filter` takes them.

        A number is looked for in columns of numbers alone, and as a number, so that indexes are used.
        """
        if "\0" in search_term:
            # PostgreSQL cannot even be asked for it.
            return queryset.none(), False
        for word in list(smart_split(search_term))[:_MOST_WORDS]:
            if word[:1] in "\"'" and word[0] == word[-1] and len(word) > 1:
                word = unescape_string_literal(word)
            found = Q(pk__in=[])
            for lookup in self.get_search_fields(request):
                if not _is_number(self.model, lookup):
                    found |= Q(**{lookup: word})
                elif word.isascii() and word.isdecimal() and int(word) <= _LARGEST:
                    found |= Q(**{lookup: int(word)})
            queryset = queryset.filter(found)
        return queryset, False

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        """Foreign keys among the filters offer what whoever asks may see."""
        return [
            (name, GrantedRelatedFilter) if isinstance(name, str) and is_relation(self.model, name) else name
            for name in super().get_list_filter(request)
        ]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Exactly what the filters' own links ask for: by any other condition a hidden column, of this row or of one
        that it leads to, could be guessed letter by letter.
        """
        return lookup in {one for listed in self.get_list_filter(request) for one in _parameters_of(listed)}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _InOneOrder


class GrantedAdmin(BoundedAdmin):
    """Rows of workspaces: whoever is a member sees those of their workspaces, and superusers all.

    Membership is all that it takes; permissions of Django's own are not asked for. What can be changed is for members
    with `least_role_to_change`. What belongs to no workspace is the installation's, and for superusers.
    """

    least_role_to_change: ClassVar[str] = ADMIN
    deferred: ClassVar[Sequence[str]] = ()
    """Columns that no page shows, because they are long or secret: they are not read either."""

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return granted_rows(super().get_queryset(request).defer(*self.deferred), request)

    def changeable(self, request: HttpRequest, rows: QuerySet, *, role: str | None = None) -> QuerySet:
        """Those of `rows` that whoever asks may change. Every action begins with it."""
        return granted_rows(rows, request, role=role or self.least_role_to_change)

    def granted(self, request: HttpRequest, obj: models.Model | None = None, *, role: str) -> bool:
        """Whether whoever asks has `role` in the workspace of `obj`; in some workspace where none is given."""
        workspaces = workspaces_granted(request, role=role)
        if workspaces is None:
            return True
        if workspace_lookup(self.model) is None or not workspaces:
            return False
        if obj is None or obj.pk is None:
            return True
        return granted_rows(self.model._default_manager.filter(pk=obj.pk), request, role=role).exists()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        workspaces = workspaces_granted(request)
        return workspaces is None or (bool(workspaces) and workspace_lookup(self.model) is not None)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.granted(request, role=self.least_role_to_change)

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return self.granted(request, obj, role=self.least_role_to_change)

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return self.granted(request, obj, role=self.least_role_to_change)

    def formfield_for_foreignkey(
        self, db_field: models.ForeignKey, request: HttpRequest | None, **kwargs: Any
    ) -> ModelChoiceField | None:
        """Whatever a form refers to is of a workspace that whoever asks may change."""
        assert request is not None
        related = db_field.remote_field.model
        if workspace_lookup(related) is not None:
            rows = related._default_manager.all()
            kwargs["queryset"] = granted_rows(rows, request, role=self.least_role_to_change)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class ReadOnlyAdmin(GrantedAdmin):
    """A list and a page to look at: rows that services alone write."""

    actions: Any = None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class InstallationAdmin(BoundedAdmin):
    """What belongs to the installation and to no workspace: for superusers."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)


def shortened(name: str, *, description: str | None = None, length: int = _SHOWN) -> Any:
    """A column that shows the beginning of a long text.

    list_display = ["id", shortened("error")]
    """

    @admin.display(description=description or name.replace("_", " "))
    def beginning(row: models.Model) -> str:
        text = str(lookup_field(name, row)[2] or "")
        return text if len(text) <= length else f"{text[: length - 1]}…"

    beginning.__name__ = f"beginning_of_{name}"
    return beginning


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)


# What the links of a filter ask for, after the name of its field: of a relation, and of any other field.
_OF_RELATIONS: Final = ("", "__exact", "__isnull", "__id__exact", "__pk__exact")
_OF_FIELDS: Final = ("", "__exact", "__isnull", "__isempty", "__gte", "__lt")


def _parameters_of(listed: Any) -> list[str]:
    """The parameters of a query string that a filter of a list takes."""
    if not isinstance(listed, str | tuple):
        return [listed.parameter_name]
    name, kind = listed if isinstance(listed, tuple) else (listed, None)
    return [name + ending for ending in (_OF_RELATIONS if kind is GrantedRelatedFilter else _OF_FIELDS)]


def _is_number(model: type[models.Model], lookup: str) -> bool:
    """Whether `lookup` leads to a column of whole numbers."""
    here: Any = model
    field: Any = None
    for part in lookup.split("__"):
        try:
            field = here._meta.pk if part == "pk" else here._meta.get_field(part)
        except FieldDoesNotExist:
            break
        here = field.related_model or here
    return isinstance(field, (models.IntegerField, models.ForeignKey))


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(ReadOnlyAdmin):
    """That a request was answered. Its key is a client's own words, and not shown."""

    list_display = ["id", "workspace_id", "created_at"]
    list_filter = ["created_at"]
    search_fields = ["pk", "workspace_id"]
    fields = ["id", "workspace_id", "created_at"]
