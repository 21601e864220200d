"""Which migrations of ours are new: those that no release has, and so no installation either."""

from collections.abc import Mapping
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

Node = tuple[str, str]


class UnknownRelease(ValueError):
    """`RELEASED_MIGRATIONS` does not fit the migrations that there are; the message says what to change."""


def unreleased_migrations(loader: MigrationLoader, released: Mapping[str, str | None]) -> list[Migration]:
    """The migrations of our apps that are not among what the released ones need, in the order in which they run.

    `released` names the last released migration of each app of ours, None where it has none. Raises `UnknownRelease`.
    """
    known = released_migrations(loader, released)
    ordered: dict[Node, None] = {}
    for leaf in sorted(loader.graph.leaf_nodes()):
        ordered |= dict.fromkeys(loader.graph.forwards_plan(leaf))
    return [loader.graph.nodes[node] for node in ordered if node[0] in released and node not in known]


def released_migrations(loader: MigrationLoader, released: Mapping[str, str | None]) -> set[Node]:
    """What every installation of the last release has applied. Raises `UnknownRelease`."""
    missing = apps_with_migrations() - released.keys()
    if missing:
        raise UnknownRelease(f"RELEASED_MIGRATIONS says nothing of {', '.join(sorted(missing))}: add it, with None.")
    known: set[Node] = set()
    for label, name in released.items():
        if name is None:
            continue
        node = (label, name)
        if node not in loader.graph.nodes:
            raise UnknownRelease(f"RELEASED_MIGRATIONS names {'.'.join(node)}, which there is not.")
        known |= set(loader.graph.forwards_plan(node))
    return known


def newest_migrations(loader: MigrationLoader) -> dict[str, str]:
    """What RELEASED_MIGRATIONS is to say once all that there is has been released."""
    return dict(sorted(node for node in loader.graph.leaf_nodes() if node[0] in apps_with_migrations()))


def apps_with_migrations() -> set[str]:
    """The labels of our own apps that have tables: those that stand in this repository's folders of apps."""
    folders = {settings.BASE_DIR, settings.BASE_DIR / "platform"}
    return {
        config.label
        for config in apps.get_app_configs()
        if Path(config.path).parent in folders and (Path(config.path) / "migrations").is_dir()
    }
