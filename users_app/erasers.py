"""How each app erases what it holds of a person: filled at start by the apps above, which this one may not import.

Whatever table leads to an end user must stand with an eraser; a test lists the models that do and finds the missing.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, models

from users_app.models import EndUser, Workspace


@dataclass
class Erasing:
    """An erasure under way. Erasers run in its transaction, which holds the end user against everybody else."""

    workspace: Workspace
    end_user: EndUser
    removed: Counter[str] = field(default_factory=Counter)
    """How many rows of each kind, for the receipt."""
    prefixes: list[str] = field(default_factory=list)
    """Prefixes in the object store (they end in "/") whose objects are deleted once the transaction has committed."""

    def delete_own(self, model: type[models.Model], *, column: str = "end_user_id") -> None:
        """Delete the rows of `model` whose `column` names the end user, in one statement.

        Whatever refers to them must be deleted too: the database looks at the end of the transaction.
        """
        meta = model._meta
        with connection.cursor() as cursor:
            cursor.execute(f'DELETE FROM "{meta.db_table}" WHERE "{column}" = %s', [self.end_user.pk])  # noqa: S608
            self.count(model, cursor.rowcount)

    def count(self, model: type[models.Model], rows: int) -> None:
        """Say on the receipt that so many rows of `model` are gone."""
        if rows:
            self.removed[str(model._meta.verbose_name_plural)] += rows


@dataclass
class ErasingDocuments(Erasing):
    """A client's document on its way out, with all that was ever stored under its id. It has left the live profile."""

    task: str = ""
    touched: frozenset[int] = frozenset()
    """The documents that stood under the id. Whatever was learned from them was learned from this entry too."""
    gone: frozenset[int] = frozenset()
    """Those of them whose content stands under no other id: their rows are deleted after the erasers."""


@dataclass(frozen=True)
class Eraser:
    """What one app does. `models` are its models that lead to an end user, and that it looks after."""

    name: str
    models: tuple[type[models.Model], ...]
    end_user: Callable[[Erasing], Any]
    documents: Callable[[ErasingDocuments], Any] = lambda erasing: None
    in_use: Callable[[str], bool] = lambda prefix: False
    """Whether a prefix in the object store holds, or is about to hold, what was made since the erasure."""


_erasers: dict[str, Eraser] = {}


def register(eraser: Eraser) -> None:
    """Let `eraser` take part in every erasure from now on; another one of its name is a ValueError."""
    if _erasers.setdefault(eraser.name, eraser) != eraser:
        raise ValueError(f"two erasers are called “{eraser.name}”")


def in_use(prefix: str) -> bool:
    """Whether some app has put there, or will, what no erasure is about."""
    return any(eraser.in_use(prefix) for eraser in _erasers.values())


def in_order() -> Iterator[Eraser]:
    """Every eraser, those of the upper apps first: in the order in which a worker records, a job's row comes last."""
    return reversed(_erasers.values())
