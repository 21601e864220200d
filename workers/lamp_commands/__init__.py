"""The subcommands of `manage.py lamp`, a module each.

A module here with `add_arguments(parser)` and `run(options)` is a subcommand; the first line of its docstring is its
help. `options` is the mapping of parsed options, and `options["stdout"]` is where a subcommand writes what it prints.
A module imports what is heavy (torch, transformers) inside `run`.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any, Protocol, cast

from django.core.management.base import CommandParser


class Subcommand(Protocol):
    """What a subcommand's module has."""

    __doc__: str | None

    def add_arguments(self, parser: CommandParser) -> None: ...

    def run(self, options: Mapping[str, Any]) -> None: ...


def subcommands() -> dict[str, Subcommand]:
    """The subcommands by name, sorted."""
    modules = {name: importlib.import_module(f"{__name__}.{name}") for _, name, _ in pkgutil.iter_modules(__path__)}
    return {name: cast(Subcommand, module) for name, module in sorted(modules.items()) if hasattr(module, "run")}
