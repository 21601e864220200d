"""Who, in the admin. Documents show what they are, never what is in them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from common.admin import ReadOnlyAdmin
from users_app.api_key_admin import ApiKeyAdmin as ApiKeyAdmin
from users_app.audit import actor_of_staff
from users_app.models import (
    AuditEntry,
    Document,
    EndUser,
    ErasureReceipt,
    Membership,
    Quota,
    Usage,
    WebhookDelivery,
    WebhookEndpoint,
    Workspace,
    WorkspaceTask,
)
from users_app.quotas import set_quotas, standings

_QUOTA_FIELDS = {f"quota_{quota}": quota for quota in Quota}


class MembershipInline(TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(Workspace)
class WorkspaceAdmin(ModelAdmin):
    """Quotas are changed here and by `manage.py set_quota`, and either leaves an entry in the audit log."""

    list_display = ["slug", "name", "created_at"]
    search_fields = ["slug", "name"]
    inlines = [MembershipInline]

    def get_fieldsets(self, request: HttpRequest, obj: Workspace | None = None) -> list[tuple[str | None, Any]]:
        quotas = {"fields": [*_QUOTA_FIELDS, *(["used"] if obj is not None else [])]}
        return [(None, {"fields": ["slug", "name"]}), ("Quotas", quotas)]

    def get_readonly_fields(self, request: HttpRequest, obj: Workspace | None = None) -> list[str]:
        return [] if obj is None else ["used"]

    @admin.display(description="Used")
    def used(self, workspace: Workspace) -> str:
        """How much there is of each, and how much there may be: the installation's limits among them."""
        return "; ".join(
            f"{one.used:,}{'' if one.limit is None else f' of {one.limit:,}'} {one.quota.label}"
            for one in standings(workspace=workspace)
        )

    def save_model(self, request: HttpRequest, obj: Workspace, form: forms.ModelForm, change: bool) -> None:
        """Save the workspace, and its quotas by the service that records their change."""
        limits = {quota: form.cleaned_data[field] for field, quota in _QUOTA_FIELDS.items()}
        if change:
            obj.save(update_fields=["slug", "name"])
        else:
            for field in _QUOTA_FIELDS:
                setattr(obj, field, None)
            obj.save()
        set_quotas(workspace=obj, limits=limits, by=actor_of_staff(request))


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


@admin.register(Usage)
class UsageAdmin(ReadOnlyAdmin):
    """The changes themselves; the sums stand with the workspace."""

    list_display = ["workspace_id", "what", "day", "amount"]
    list_filter = ["what"]
    search_fields = ["=workspace_id"]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["at", "workspace", "action", "actor", "actor_name", "key_prefix", "end_user", "subject"]
    list_filter = ["action", "actor", "workspace"]
    search_fields = ["=subject", "=key_prefix", "=request_id"]
    list_select_related = ["workspace", "end_user"]


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
