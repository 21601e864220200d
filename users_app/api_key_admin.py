"""API keys in the admin: made and revoked here, and shown on the page that answers their making alone."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from common.admin import GrantedAdmin
from users_app.api_keys import IssuedKey, create_api_key, revoke_api_key
from users_app.audit import actor_of_staff
from users_app.models import ApiKey, Scope


class ApiKeyForm(forms.ModelForm):
    """What a new key is asked for."""

    scopes = forms.MultipleChoiceField(choices=Scope.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget)

    class Meta:
        model = ApiKey
        fields = ["workspace", "name", "scopes", "expires_at", "requests_per_minute"]

    def clean(self) -> dict[str, Any]:
        super().clean()
        expires_at = self.cleaned_data.get("expires_at")
        if expires_at is not None and expires_at <= timezone.now():
            self.add_error("expires_at", "The key would have expired already.")
        return self.cleaned_data


@admin.register(ApiKey)
class ApiKeyAdmin(GrantedAdmin):
    """A list, a form for a new one, and an action that revokes. Nothing of a key is changed afterwards."""

    form = ApiKeyForm
    list_display = ["name", "prefix", "workspace", "scopes", "last_used_at", "expires_at", "revoked_at"]
    list_filter = ["workspace", ("revoked_at", admin.EmptyFieldListFilter)]
    search_fields = ["name__icontains", "prefix"]
    list_select_related = ["workspace"]
    autocomplete_fields = ["workspace"]
    deferred = ["secret_digest"]
    actions = ["revoke_keys"]

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        given = ["workspace", "name", "scopes", "expires_at", "requests_per_minute"]
        return given if obj is None else [*given, "prefix", "created_at", "last_used_at", "revoked_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        return [] if obj is None else self.get_fields(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Revoked keys stay, so that it can be seen what there was."""
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: ApiKeyForm, change: bool) -> None:
        """Make the key; one that exists stays as it is."""
        if not change:
            given = {name: form.cleaned_data[name] for name in ApiKeyForm.Meta.fields}
            issued = create_api_key(**given, by=actor_of_staff(request))
            obj.pk = issued.key.pk
            request.issued_key = issued  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """Show the key. It is neither stored in a session or cookie nor put into an address, as a redirect would."""
        issued: IssuedKey = request.issued_key  # type: ignore[attr-defined]
        context = {
            **self.admin_site.each_context(request),
            "title": "API key",
            "opts": self.opts,
            "key": issued.key,
            "token": issued.token,
        }
        response = TemplateResponse(request, "admin/users_app/apikey/issued.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke_keys(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Let them be accepted no more."""
        by = actor_of_staff(request)
        count = sum(revoke_api_key(key=key, by=by) for key in self.changeable(request, queryset))
        self.message_user(request, f"{count} revoked.", messages.SUCCESS)
