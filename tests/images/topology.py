"""What docker-compose.yml and .env.example say."""

import re
from typing import Any, Final

import yaml

from tests.servers import REPOSITORY

COMPOSE: Final = REPOSITORY / "docker-compose.yml"
EXAMPLE: Final = REPOSITORY / ".env.example"

_LINE = re.compile(r"^(?P<off>#?)(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)$", re.MULTILINE)
_INTERPOLATED = re.compile(r"(?<!\$)\$\{(?P<name>[A-Z0-9_]+)(?::?-(?P<default>[^}]*))?\}")


def services() -> dict[str, dict[str, Any]]:
    """Each service with what it merges in; variables as they are written."""
    return yaml.safe_load(COMPOSE.read_text())["services"]


def interpolated() -> dict[str, str]:
    """The variables that compose puts into the file, with their defaults."""
    return {found["name"]: found["default"] or "" for found in _INTERPOLATED.finditer(_without_comments())}


def shown() -> dict[str, str]:
    """All settings of .env.example: those that are set, and those whose default is shown."""
    return {found["name"]: found["value"] for found in _LINE.finditer(EXAMPLE.read_text())}


def set_there() -> dict[str, str]:
    """Those that a copy of .env.example sets."""
    return {found["name"]: found["value"] for found in _LINE.finditer(EXAMPLE.read_text()) if not found["off"]}


def with_defaults(text: str) -> str:
    """`text` as compose reads it where .env is a copy of .env.example."""
    known = set_there()
    return _INTERPOLATED.sub(lambda found: known.get(found["name"], found["default"] or ""), text)


def environment_of(service: str) -> dict[str, str]:
    """The environment of a service's container where .env is a copy of .env.example."""
    stated = services()[service]["environment"]
    return {**set_there(), **{name: with_defaults(str(value)) for name, value in stated.items()}}


def _without_comments() -> str:
    return "\n".join(line for line in COMPOSE.read_text().splitlines() if not line.lstrip().startswith("#"))
