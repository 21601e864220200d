"""Every route of the URL conf, and things of a workspace to name in its address."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.models import ForeignKey, Model
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.converters import IntConverter
from django.urls.resolvers import RoutePattern

from common.api.converters import Number
from users_app.models import Workspace

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")

# What a client names by a name of its own. Our numbers are found by the parameter's name: `job_id` is a Job's.
_CLIENTS_NAMES = {
    "user_id": ("users_app.EndUser", "external_id"),
    "document_id": ("users_app.ProfileEntry", "client_id"),
    "key": ("users_app.WorkspaceTask", "key"),
    "version": ("users_app.WorkspaceTask", "version"),
    "workspace": ("users_app.Workspace", "slug"),
    "task": ("eval_app.ExperimentRun", "task"),
    "method": ("eval_app.ExperimentRun", "method"),
}
# Numbers that are not called as their model is: the model, and which of its rows are meant.
_ALSO_CALLED: dict[str, tuple[str, dict[str, Any]]] = {
    "generation": ("generation", {"kind": "answer"}),
    "preview": ("generation", {"kind": "preview"}),
    "erasure": ("erasurereceipt", {}),
    "webhook": ("webhookendpoint", {}),
    "delivery": ("webhookdelivery", {}),
}


@dataclass(frozen=True)
class Route:
    """One address of the URL conf: its pattern, the parameters in it, and the view behind it."""

    pattern: str
    parameters: dict[str, Any]
    callback: Callable[..., Any]

    def __str__(self) -> str:
        return "/" + self.pattern

    @property
    def view(self) -> Any:
        """The class of the view, None for a function."""
        return getattr(self.callback, "cls", None) or getattr(self.callback, "view_class", None)

    def methods(self) -> list[str]:
        """The methods that the view does something for."""
        known = [name for name in METHODS if name not in ("HEAD", "OPTIONS") and hasattr(self.view, name.lower())]
        return [*known, "HEAD"] if "GET" in known else known

    def has_numbers(self) -> bool:
        """Whether its address names something by a number of ours."""
        return any(isinstance(converter, (Number, IntConverter)) for converter in self.parameters.values())

    def address(self, workspace: Workspace) -> tuple[str, bool]:
        """The address of things of `workspace`, and whether all of them exist there."""
        address, exists = "/" + self.pattern, True
        for name, converter in self.parameters.items():
            value = what_stands(workspace, name)
            exists &= value is not None
            plausible = 999_999_999 if isinstance(converter, (Number, IntConverter)) else "x"
            shown = converter.to_url(plausible if value is None else value)
            address = re.sub(rf"<(?:\w+:)?{name}>", lambda _, shown=shown: shown, address)
        return address, exists


def routes(below: tuple[str, ...]) -> list[Route]:
    """Every route whose pattern begins with one of these."""
    found = list(_walk(get_resolver().url_patterns, "", {}))
    return [route for route in found if route.pattern.startswith(below)]


def _walk(patterns: list[Any], prefix: str, parameters: dict[str, Any]) -> Iterator[Route]:
    for pattern in patterns:
        here = prefix + str(pattern.pattern)
        known = {**parameters, **getattr(pattern.pattern, "converters", {})}
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, here, known)
        elif isinstance(pattern, URLPattern):
            assert isinstance(pattern.pattern, RoutePattern) or here.startswith("admin/"), f"{here}: write it as a path"
            yield Route(here, known, pattern.callback)


def what_stands(workspace: Workspace, parameter: str) -> Any:
    """What stands for `parameter` in `workspace`, None where nothing there is known by that name."""
    if parameter in _CLIENTS_NAMES:
        label, field = _CLIENTS_NAMES[parameter]
        return rows_of(apps.get_model(label), workspace).order_by("pk").values_list(field, flat=True).first()
    name = parameter.removesuffix("_id").replace("_", "")
    label, only = _ALSO_CALLED.get(name, (name, {}))
    for model in apps.get_models():
        if model._meta.model_name == label and leads_to_workspace(model):
            return rows_of(model, workspace).filter(**only).order_by("pk").values_list("pk", flat=True).first()
    return None


def leads_to_workspace(model: type[Model]) -> str | None:
    """The lookup from a row of `model` to the id of its workspace, None where it belongs to none."""
    waiting: list[tuple[type[Model], str]] = [(model, "")]
    seen: set[type[Model]] = set()
    while waiting:
        here, path = waiting.pop(0)
        if here in seen:
            continue
        seen.add(here)
        if here is Workspace:
            return path + "pk"
        for field in here._meta.get_fields():
            if field.name == "workspace_id":
                return path + "workspace_id"
            if isinstance(field, ForeignKey):
                waiting.append((field.related_model, f"{path}{field.name}__"))
    return None


def rows_of(model: type[Model], workspace: Workspace) -> Any:
    """The rows of `model` that are the workspace's."""
    return model._default_manager.filter(**{str(leads_to_workspace(model)): workspace.pk})
