"""Who, in the admin. Documents show what they are, never what is in them."""

from django.contrib import admin
from unfold.admin import ModelAdmin, TabularInline

from common.admin import ReadOnlyAdmin
from users_app.models import Document, EndUser, Membership, Workspace


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


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    list_display = ["id", "end_user", "task", "created_at"]
    list_filter = ["task"]
    search_fields = ["=id", "=end_user__external_id"]
    list_select_related = ["end_user"]
    fields = ["end_user", "task", "created_at"]
