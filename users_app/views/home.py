"""Where a person begins: their workspaces."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from common.navigation import destinations
from users_app.selectors import workspaces_of_staff
from users_app.views.base import Page


class HomePage(Page):
    """The workspaces that one may see; who has one is taken there."""

    template_name = "users_app/home.html"
    title = "Workspaces"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        workspaces = list(workspaces_of_staff(user=request.user)[:200])
        first = next(iter(destinations()), None)
        if len(workspaces) == 1 and first is not None:
            return redirect(first.name, workspace=workspaces[0].slug)
        return self.render_to_response(self.get_context_data(workspaces=workspaces, first=first))
