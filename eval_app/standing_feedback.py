"""What feedback of selectors and of encoders has in common: why questions are left out, and whether it still stands."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final, TypeVar

from django.db.models import Model, QuerySet

from users_app.models import Workspace
from users_app.shared_training import may_learn_from

NO_CONSENT: Final = "no_consent"
INCOMPLETE: Final = "incomplete"

_ROWS_AT_ONCE: Final = 5_000

T = TypeVar("T")
M = TypeVar("M", bound=Model)


def people_stand(*, workspace: Workspace, end_user_ids: Collection[int]) -> bool:
    """Whether all these people are there and may be learned from."""
    return rows_stand(may_learn_from(workspace=workspace), sorted(end_user_ids))


def rows_stand(rows: QuerySet[M], ids: Sequence[int]) -> bool:
    """Whether all of these (different) ids are among `rows`."""
    return all(rows.filter(pk__in=some).count() == len(some) for some in some_of(ids, _ROWS_AT_ONCE))


def some_of(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The values in their order, `size` at a time."""
    for first in range(0, len(values), size):
        yield values[first : first + size]
