"""Where people log in and change their password: members of workspaces, whether or not they may use the admin too."""

from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse_lazy

from common.page_security import secure


class LoginPage(LoginView):
    """Django's login, looking like our pages. Who is logged in already is sent on."""

    template_name = "users_app/login.html"
    next_page = "home"
    redirect_authenticated_user = True
    extra_context = {"title": "Log in"}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().dispatch(request, *args, **kwargs)
        secure(response)
        return response

    def get_redirect_url(self, request: HttpRequest | None = None) -> str:
        """Where the person was going; not here again."""
        wanted = super().get_redirect_url()
        return "" if urlsplit(wanted).path == self.request.path else wanted


class PasswordPage(PasswordChangeView):
    """Django's change of one's own password, looking like our pages."""

    template_name = "users_app/password.html"
    success_url = reverse_lazy("home")
    extra_context = {"title": "Change your password"}

    def dispatch(self, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().dispatch(*args, **kwargs)
        secure(response)
        return response

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        messages.success(self.request, "Your password is changed.")
        return super().form_valid(form)
