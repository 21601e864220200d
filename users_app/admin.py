"""Who, in the admin. Documents show what they are, never what is in them."""

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from common.admin import ReadOnlyAdmin
from users_app.api_key_admin import ApiKeyAdmin as ApiKeyAdmin
from users_app.models import (
    Document,
    EndUser,
    ErasureReceipt,
    Membership,
    WebhookDelivery,
    WebhookEndpoint,
    Workspace,
    WorkspaceTask,
)


class MembershipInline(TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(Workspace)
class WorkspaceAdmin(ModelAdmin):
    list_display = ["slug", "name", "created_at"]
    search_fields = ["slug", "name"]
    inlines = [MembershipInline]


@admin.register(EndUser)
class EndUserAdmin(ModelAdmin):
    list_display = ["id", "external_id", "workspace", "created_at"]
    list_filter = ["workspace"]
    search_fields = ["=external_id"]
    list_select_related = ["workspace"]
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: EndUser | None = None) -> bool:
        """Nobody: rows are not all that there is of a person. They are erased through the API, or by
        `manage.py erase_end_user` (`users_app.erasure`).
        """
        return False


@admin.register(ErasureReceipt)
class ErasureReceiptAdmin(ReadOnlyAdmin):
    list_display = ["id", "workspace", "scope", "removed", "requested_at", "finished_at"]
    list_filter = ["scope", "workspace"]
    list_select_related = ["workspace"]
    fields = ["workspace", "scope", "removed", "requested_at", "finished_at"]


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    list_display = ["id", "end_user", "task", "created_at"]
    list_filter = ["task"]
    search_fields = ["=id", "=end_user__external_id"]
    list_select_related = ["end_user"]
    fields = ["end_user", "task", "created_at"]


@admin.register(WorkspaceTask)
class WorkspaceTaskAdmin(ReadOnlyAdmin):
    list_display = ["key", "number", "workspace", "created_by", "created_at"]
    list_filter = ["workspace"]
    search_fields = ["=key", "=version"]
    list_select_related = ["workspace", "created_by"]


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ReadOnlyAdmin):
    """Changed through the API alone. What the secrets are made of is not shown."""

    list_display = ["id", "workspace", "url", "event_types", "created_by", "disabled_reason", "failing_since"]
    list_filter = ["workspace", "disabled_reason"]
    list_select_related = ["workspace", "created_by"]
    fields = [
        "workspace",
        "url",
        "event_types",
        "created_by",
        "created_at",
        "disabled_at",
        "disabled_reason",
        "failing_since",
        "resting_until",
        "previous_until",
        "removed_at",
    ]


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    list_display = ["id", "endpoint", "event_type", "subject_id", "state", "attempts", "status_code", "error"]
    list_filter = ["state", "event_type"]
    search_fields = ["=id", "=subject_id"]
    list_select_related = ["endpoint"]
