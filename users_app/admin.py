"""Who, in the admin. Documents show what they are, never what is in them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import TabularInline

from common.admin import GrantedAdmin, ReadOnlyAdmin
from common.admin_filters import choice_filter
from users_app import staff_admin as staff_admin
from users_app.admin_choices import event_type_choices, labelled_choice, task_choices
from users_app.api_key_admin import ApiKeyAdmin as ApiKeyAdmin
from users_app.audit import actor_of_staff
from users_app.membership_admin import save_memberships
from users_app.models import (
    AuditEntry,
    Document,
    EndUser,
    ErasureReceipt,
    Membership,
    ProfileEntry,
    ProfileTally,
    Quota,
    SharedTraining,
    Usage,
    WebhookDelivery,
    WebhookEndpoint,
    Workspace,
    WorkspaceTask,
)
from users_app.quotas import set_quotas, standings
from users_app.shared_training import set_shared_training
from users_app.webhooks import host_of

_SHARED_TRAINING = "shared_training"
_QUOTA_FIELDS = {f"quota_{quota}": quota for quota in Quota}


class MembershipInline(TabularInline):
    """Who is a member. The workspace's admins change roles and take members out; who is staff, superusers decide."""

    model = Membership
    extra = 0
    autocomplete_fields = ["user"]
    formfield_for_choice_field = labelled_choice

    def get_fields(self, request: HttpRequest, obj: Workspace | None = None) -> list[str]:
        return ["user", "role"] if request.user.is_superuser else ["member", "role"]

    def get_readonly_fields(self, request: HttpRequest, obj: Workspace | None = None) -> list[str]:
        return ["member"]

    @admin.display
    def member(self, membership: Membership) -> str:
        """The name alone: who is staff besides is not a member's to see."""
        return membership.user.get_username()

    def has_view_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        return admin.site.get_model_admin(Workspace).has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        return self.has_change_permission(request, obj)


@admin.register(Workspace)
class WorkspaceAdmin(GrantedAdmin):
    """Quotas and members are changed here and by `manage.py set_quota` and `add_member`; each change leaves an entry in
    the audit log.

    The workspace's admins look after its name, its members and whose data shared models may learn from; its address and
    quotas are the installation's to decide.
    """

    list_display = ["slug", "name", "created_at"]
    search_fields = ["slug__icontains", "name__icontains"]
    ordering = ["slug"]
    inlines = [MembershipInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: no page can show, nor one request delete, all that hangs on a workspace."""
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Workspace | None = None) -> list[tuple[str | None, Any]]:
        quotas = {"fields": [*_QUOTA_FIELDS, *(["used"] if obj is not None else [])]}
        return [(None, {"fields": ["slug", "name", _SHARED_TRAINING]}), ("Quotas", quotas)]

    def get_readonly_fields(self, request: HttpRequest, obj: Workspace | None = None) -> list[str]:
        decided = [] if request.user.is_superuser else ["slug", *_QUOTA_FIELDS]
        return decided if obj is None else [*decided, "used"]

    @admin.display(description="Used")
    def used(self, workspace: Workspace) -> str:
        """How much there is of each, and how much there may be: the installation's limits among them."""
        return "; ".join(
            f"{one.used:,}{'' if one.limit is None else f' of {one.limit:,}'} {one.quota.label}"
            for one in standings(workspace=workspace)
        )

    def save_model(self, request: HttpRequest, obj: Workspace, form: forms.ModelForm, change: bool) -> None:
        """Save the workspace, and its quotas and policy by the services that record their change."""
        policy = form.cleaned_data[_SHARED_TRAINING]
        if not request.user.is_superuser:
            obj.save(update_fields=["name"])
            set_shared_training(workspace=obj, policy=policy, by=actor_of_staff(request))
            return
        limits = {quota: form.cleaned_data[field] for field, quota in _QUOTA_FIELDS.items()}
        if change:
            obj.save(update_fields=["slug", "name"])
        else:
            for field in _QUOTA_FIELDS:
                setattr(obj, field, None)
            obj.shared_training = SharedTraining.AGREED
            obj.save()
        set_quotas(workspace=obj, limits=limits, by=actor_of_staff(request))
        set_shared_training(workspace=obj, policy=policy, by=actor_of_staff(request))

    def save_formset(
        self, request: HttpRequest, form: forms.ModelForm, formset: forms.BaseInlineFormSet, change: bool
    ) -> None:
        save_memberships(request, formset)


@admin.register(EndUser)
class EndUserAdmin(ReadOnlyAdmin):
    """Rows are not all that there is of a person: they are erased through the API, or by `manage.py erase_end_user`
    (`users_app.erasure`).
    """

    list_display = ["id", "external_id", "workspace", "agreed_to_shared_training_at", "created_at"]
    list_filter = ["workspace"]
    search_fields = ["pk", "external_id"]
    search_help_text = "A number of ours, or the whole name by which the client calls the person."
    list_select_related = ["workspace"]
    fields = ["id", "external_id", "workspace", "agreed_to_shared_training_at", "created_at"]


@admin.register(ErasureReceipt)
class ErasureReceiptAdmin(ReadOnlyAdmin):
    list_display = ["id", "workspace", "scope", "removed", "requested_at", "finished_at"]
    list_filter = ["scope", "workspace"]
    search_fields = ["pk"]
    list_select_related = ["workspace"]
    fields = ["workspace", "scope", "removed", "requested_at", "finished_at"]


@admin.register(Usage)
class UsageAdmin(ReadOnlyAdmin):
    """The changes themselves; the sums stand with the workspace."""

    list_display = ["workspace_id", "what", "day", "amount"]
    list_filter = ["what"]
    search_fields = ["workspace_id"]
    fields = ["workspace_id", "what", "day", "amount"]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["at", "workspace", "action", "actor", "actor_name", "key_prefix", "end_user", "subject"]
    list_filter = ["action", "actor", "workspace"]
    search_fields = ["subject", "key_prefix", "request_id"]
    list_select_related = ["workspace", "end_user"]
    fields = [
        "workspace",
        "at",
        "action",
        "actor",
        "actor_name",
        "key_prefix",
        "staff_id",
        "request_id",
        "end_user",
        "subject",
        "details",
    ]


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    list_display = ["id", "end_user", "task", "created_at"]
    list_filter = [choice_filter("task", title="task", choices=task_choices)]
    search_fields = ["pk", "end_user__external_id"]
    list_select_related = ["end_user"]
    deferred = ["fields", "date_key"]
    fields = ["id", "end_user", "task", "created_at"]


@admin.register(ProfileEntry)
class ProfileEntryAdmin(ReadOnlyAdmin):
    """Which documents stand in a profile, and which did. The client's own id of one may say who it is about."""

    list_display = ["id", "end_user", "task", "document_id", "position", "added_at", "removed_at"]
    list_filter = [
        choice_filter("task", title="task", choices=task_choices),
        ("removed_at", admin.EmptyFieldListFilter),
    ]
    search_fields = ["pk", "document__id", "end_user__external_id"]
    list_select_related = ["end_user"]
    deferred = ["client_id"]
    fields = ["end_user", "task", "document", "position", "added_at", "removed_at"]


@admin.register(ProfileTally)
class ProfileTallyAdmin(ReadOnlyAdmin):
    """How profiles have changed, as triggers count it."""

    list_display = ["id", "end_user", "task", "added", "removed", "changed_at"]
    list_filter = [choice_filter("task", title="task", choices=task_choices)]
    search_fields = ["pk", "end_user__external_id"]
    list_select_related = ["end_user"]
    fields = ["end_user", "task", "added", "removed", "changed_at"]


@admin.register(WorkspaceTask)
class WorkspaceTaskAdmin(ReadOnlyAdmin):
    list_display = ["key", "number", "workspace", "created_by", "created_at"]
    list_filter = ["workspace"]
    search_fields = ["key", "version"]
    list_select_related = ["workspace", "created_by"]
    fields = ["workspace", "key", "number", "version", "definition", "created_by", "created_at"]


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ReadOnlyAdmin):
    """Changed through the API alone, which shows the whole URL too. Viewers look here, so its path and what the secrets
    are made of are neither shown nor searched.
    """

    list_display = ["id", "workspace", "host", "event_types", "created_by", "disabled_reason", "failing_since"]
    list_filter = ["workspace", "disabled_reason"]
    search_fields = ["pk"]
    list_select_related = ["workspace", "created_by"]
    deferred = ["secret_salt", "previous_salt"]
    fields = [
        "workspace",
        "host",
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
    readonly_fields = ["host"]

    @admin.display
    def host(self, endpoint: WebhookEndpoint) -> str:
        return host_of(endpoint)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    list_display = ["id", "endpoint", "event_type", "subject_id", "state", "attempts", "status_code", "error"]
    list_filter = ["state", choice_filter("event_type", title="event", choices=event_type_choices)]
    search_fields = ["pk", "subject_id"]
    list_select_related = ["endpoint"]
    fields = [
        "endpoint",
        "message_id",
        "event_type",
        "subject_id",
        "outcome",
        "state",
        "attempts",
        "next_attempt_at",
        "status_code",
        "error",
        "created_at",
        "finished_at",
    ]
