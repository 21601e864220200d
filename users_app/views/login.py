"""Where people log in: members of workspaces, whether or not they may use the admin too."""

from typing import Any

from django.contrib.auth.views import LoginView
from django.http import HttpRequest
from django.http.response import HttpResponseBase

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
