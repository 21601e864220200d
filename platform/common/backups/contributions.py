"""What each app has to do with backups: filled at start by the apps above, which this one may not import."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class NamedObjects:
    """Objects that a row names."""

    prefix: str
    """A folder (it ends in "/") with all that lies in it, or one key."""
    digest: str = ""
    """sha256 (hexadecimal) over name, NUL, size, NUL and content of each of the folder's files, in their names' order.

    Empty: the row does not know, or may name what is not there. Whatever lies there is taken, and nothing is missed.
    """


@dataclass(frozen=True)
class Contribution:
    """What one app says."""

    name: str
    objects: Callable[[], Iterable[NamedObjects]] = lambda: ()
    """The objects that rows name now. Called in the snapshot, and again where something was not there."""
    withdraw: Callable[[Collection[str]], int] = lambda prefixes: 0
    """After a restore: let nobody use what these prefixes, of `objects`, should hold. They are not in the backup."""
    restored: Callable[[], Iterable[str]] = lambda: ()
    """After a restore: put right what was true of the old installation alone; lines for the operator."""


_contributions: dict[str, Contribution] = {}


def register(contribution: Contribution) -> None:
    """Let `contribution` take part in every backup from now on; another one of its name is a ValueError."""
    if _contributions.setdefault(contribution.name, contribution) != contribution:
        raise ValueError(f"two contributions to backups are called “{contribution.name}”")


def contributions() -> tuple[Contribution, ...]:
    """All of them, the lower apps' first."""
    return tuple(_contributions.values())


def named_objects() -> dict[str, NamedObjects]:
    """The objects that rows name now, by prefix; a digest that one row knows stands for all that name the same."""
    found: dict[str, NamedObjects] = {}
    for contribution in _contributions.values():
        for named in contribution.objects():
            if named.digest or named.prefix not in found:
                found[named.prefix] = named
    return found
