"""The base of every page of a workspace: who may see it, and what the frame around it shows."""

from typing import Any, ClassVar

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.views.generic import TemplateView
from django_htmx.http import HttpResponseClientRefresh

from common.logs import context
from common.navigation import destinations
from common.page_security import secure
from users_app.models import Membership, Workspace
from users_app.selectors import UnknownWorkspace, role_of, workspace_by_slug

_RANK = {role: rank for rank, role in enumerate(Membership.Role.values)}


class Page(TemplateView):
    """A page for anybody who is logged in."""

    title = ""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Send whoever is not logged in to the login, and back."""
        if not request.user.is_authenticated:
            if "HX-Request" in request.headers:
                # A part of a page whose session has ended: the page is loaded again, and so comes to the login.
                return HttpResponseClientRefresh()
            return redirect_to_login(request.get_full_path(), login_url="login")
        response = super().dispatch(request, *args, **kwargs)
        secure(response)
        response.headers.setdefault("Cache-Control", "private, no-cache")
        return response

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        return super().get_context_data(title=self.title, **context)


class WorkspacePage(Page):
    """A page of one workspace, whose slug stands in the address: for its members, and for superusers.

    For everybody else it does not exist. Looking takes the role `least_role`, changing something (any method but GET
    and HEAD) `least_role_to_change`.
    """

    least_role: ClassVar[str] = Membership.Role.VIEWER
    least_role_to_change: ClassVar[str] = Membership.Role.RESEARCHER

    workspace: Workspace
    role: str

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer 404 to strangers, and 403 to members who may do less."""
        if request.user.is_authenticated:
            self.workspace, self.role = _workspace_and_role(request, kwargs.pop("workspace"))
            context.bind(workspace_id=self.workspace.pk)
            changes = request.method not in ("GET", "HEAD")
            if not self.may(self.least_role_to_change if changes else self.least_role):
                raise PermissionDenied("Your role in this workspace does not allow that. Ask one of its admins.")
        return super().dispatch(request, *args, **kwargs)

    def may(self, role: str) -> bool:
        """Whether who looks has `role` in the workspace, or a higher one."""
        return _RANK[self.role] >= _RANK[role]

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        return super().get_context_data(
            workspace=self.workspace,
            destinations=destinations(),
            may_change=self.may(self.least_role_to_change),
            **context,
        )


def _workspace_and_role(request: HttpRequest, slug: str) -> tuple[Workspace, str]:
    try:
        workspace = workspace_by_slug(slug)
    except UnknownWorkspace:
        raise Http404 from None
    if request.user.is_superuser:
        return workspace, Membership.Role.ADMIN
    assert request.user.pk is not None
    role = role_of(workspace=workspace, user_id=request.user.pk)
    if role is None:
        raise Http404
    return workspace, role
