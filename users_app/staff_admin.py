"""Who may log in here: Django's own users and groups, in the admin's looks and for superusers."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.forms import BaseInlineFormSet, ModelForm
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from common.admin import InstallationAdmin
from users_app.admin_choices import labelled_choice
from users_app.audit import actor_of_staff
from users_app.membership_admin import save_memberships
from users_app.models import Membership
from users_app.services import end_membership

admin.site.unregister(User)
admin.site.unregister(Group)


class MembershipsOfUserInline(TabularInline):
    """In which workspaces somebody is, and as what."""

    model = Membership
    extra = 0
    autocomplete_fields = ["workspace"]
    formfield_for_choice_field = labelled_choice

    def has_view_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return bool(request.user.is_superuser)

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission


@admin.register(User)
class UserAdmin(InstallationAdmin, DjangoUserAdmin):
    """Staff may enter the admin; their memberships say which workspaces they see there and on the pages."""

    form = UserChangeForm
    add_form = UserCreationForm
    # The looks have an empty one of their own, which comes before Django's.
    add_fieldsets = DjangoUserAdmin.add_fieldsets
    change_password_form = AdminPasswordChangeForm
    search_fields = ["username__icontains", "email__icontains"]
    list_filter = ["is_staff", "is_superuser", "is_active"]
    inlines = [MembershipsOfUserInline]

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("username",)

    def save_formset(self, request: HttpRequest, form: ModelForm, formset: BaseInlineFormSet, change: bool) -> None:
        save_memberships(request, formset)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """An account goes with its memberships, whose end is recorded as any other's."""
        for membership in Membership.objects.filter(user=obj).select_related("workspace"):
            end_membership(workspace=membership.workspace, user_id=obj.pk, by=actor_of_staff(request))
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for account in queryset:
            self.delete_model(request, account)


@admin.register(Group)
class GroupAdmin(InstallationAdmin, DjangoGroupAdmin):
    """Groups of permissions. The admin goes by memberships, and asks for none."""

    search_fields = ["name__icontains"]

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("name",)
