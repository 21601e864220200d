"""How much a workspace has: the sums of what triggers have counted (`users_app.models.Usage`)."""

from collections.abc import Collection
from datetime import UTC
from typing import Final

from django.db import connection
from django.db.models import Q, Sum
from django.db.models.functions import Now, TruncDate

from users_app.models import Quota, Usage, Workspace

DAYS_KEPT: Final = 31
"""How long what is counted by the day is kept."""
_CHUNK: Final = 10_000
_CHUNKS_AT_ONCE: Final = 20
_TODAY: Final = TruncDate(Now(), tzinfo=UTC)

# Whoever reads sees the rows or their sum, as it is one statement. Rows that somebody else puts together are left to
# them. Whole groups come first, so that each time there are fewer rows.
_COMPACT: Final = """
    WITH crowded AS (
        SELECT workspace_id, what, day FROM users_app_usage GROUP BY workspace_id, what, day HAVING count(*) > 1
    ), taken AS (
        SELECT u.id FROM users_app_usage u
          JOIN crowded c ON c.workspace_id = u.workspace_id AND c.what = u.what AND c.day IS NOT DISTINCT FROM u.day
         ORDER BY u.workspace_id, u.what, u.day, u.id LIMIT %s FOR UPDATE OF u SKIP LOCKED
    ), gone AS (
        DELETE FROM users_app_usage WHERE id IN (SELECT id FROM taken) RETURNING workspace_id, what, day, amount
    ), summed AS (
        INSERT INTO users_app_usage (workspace_id, what, day, amount)
        SELECT workspace_id, what, day, sum(amount) FROM gone GROUP BY workspace_id, what, day HAVING sum(amount) <> 0
    )
    SELECT count(*) FROM gone
"""


def used(*, workspace: Workspace, quotas: Collection[Quota]) -> dict[Quota, int]:
    """How much of each of these `workspace` has; of what is counted by the day, today in UTC by PostgreSQL's clock.

    What the caller's transaction has stored is counted; what others have and have not committed is not.
    """
    rows = Usage.objects.filter(Q(day__isnull=True) | Q(day=_TODAY), workspace_id=workspace.pk, what__in=quotas)
    sums = dict(rows.order_by().values_list("what").annotate(used=Sum("amount")))
    return {quota: int(sums.get(quota, 0)) for quota in quotas}


def sweep_usage() -> None:
    """Put rows together, and forget days long past: a sweep."""
    compact_usage()


def compact_usage() -> None:
    """Put the rows of each sum together in short transactions, and forget the days that are no longer kept."""
    for _ in range(_CHUNKS_AT_ONCE):
        with connection.cursor() as cursor:
            cursor.execute(_COMPACT, [_CHUNK])
            if cursor.fetchone()[0] < _CHUNK:
                break
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM users_app_usage WHERE day < (now() AT TIME ZONE 'UTC')::date - %s::integer", [DAYS_KEPT]
        )
