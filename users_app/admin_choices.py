"""What the admin offers to choose from, known without a look into the tables that are filtered."""

from typing import Any

from django.contrib.admin import TabularInline
from django.db.models import Field
from django.http import HttpRequest

from common.workspace_access import granted_rows
from lamp.catalogue import CATALOGUE
from users_app import webhook_events
from users_app.models import WorkspaceTask

_MOST_OWN_TASKS = 50


def task_choices(request: HttpRequest) -> list[tuple[str, str]]:
    """The benchmark's tasks, and those that workspaces have of their own, as far as whoever asks may see them."""
    own = granted_rows(WorkspaceTask.objects.all(), request).order_by("key").values_list("key", flat=True).distinct()
    return [(key, key) for key in [*CATALOGUE, *own[:_MOST_OWN_TASKS]]]


def event_type_choices(request: HttpRequest) -> list[tuple[str, str]]:
    """What webhooks can be told of."""
    return [(one.name, one.name) for one in webhook_events.event_types()]


def labelled_choice(self: Any, db_field: Field, request: HttpRequest, **kwargs: Any) -> Any:
    """A choice in a table of forms, which has no label of its own there: for `formfield_for_choice_field`."""
    field = TabularInline.formfield_for_choice_field(self, db_field, request, **kwargs)
    if field is not None:
        field.widget.attrs["aria-label"] = str(db_field.verbose_name)
    return field
