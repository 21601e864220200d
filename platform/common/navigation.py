"""What stands in the navigation of every page of a workspace: each app adds its own when it starts."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Destination:
    """A page that each workspace has. `name` is its URL's, which takes the workspace's slug; `order` sorts."""

    order: int
    title: str
    name: str


_destinations: dict[str, Destination] = {}


def register(destination: Destination) -> None:
    """Add a destination; the same again is fine."""
    _destinations[destination.name] = destination


def destinations() -> list[Destination]:
    """All of them, in order."""
    return sorted(_destinations.values())
