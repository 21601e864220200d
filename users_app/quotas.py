"""What a workspace may have: its limits, and the refusal of whatever would go beyond them.

A limit is the workspace's own, or else the installation's (`QUOTA_DOCUMENTS` and the like); most have none, and then
nothing is read and nobody is held up.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from common.api.problems import Problem
from users_app.audit import INSTALLATION, Actor, record
from users_app.models import AuditEntry, Quota, Workspace
from users_app.usage import used

_RAISE: Final = "or have an administrator raise the quota"
_REMEDIES: Final = {
    Quota.DOCUMENTS: f"Delete documents or users, {_RAISE}.",
    Quota.ADAPTERS: f"Delete adapters, cancel trainings, {_RAISE}.",
    Quota.BYTES: f"Delete documents, adapters or users, {_RAISE}.",
    Quota.GENERATIONS_A_DAY: f"Ask again after midnight UTC, {_RAISE}.",
}
# Below so much room whoever stores something takes turns with the others of the workspace, from here to the end of
# the transaction. It is what a hundred of the largest requests at a time would store together.
_MARGINS: Final = {
    Quota.DOCUMENTS: 100_000,
    Quota.ADAPTERS: 100,
    Quota.BYTES: 100 * 10 * 2**20,
    Quota.GENERATIONS_A_DAY: 10_000,
}


class QuotaExceeded(Problem):
    """The workspace would have more than it may: 403, or 429 where tomorrow it may have as much again."""

    def __init__(self, *, quota: Quota, limit: int, used: int) -> None:
        self.message = f"This workspace may have {limit:,} {quota.label}; {used:,} are used, and this would go beyond."
        self.remedy = _REMEDIES[quota]
        daily = quota is Quota.GENERATIONS_A_DAY
        wait = max(1, ceil((midnight() - timezone.now()).total_seconds()))
        super().__init__(
            429 if daily else 403,
            "quota-exceeded",
            f"{self.message} {self.remedy}",
            headers={"Retry-After": str(wait)} if daily else None,
            quota=str(quota),
            limit=limit,
            used=used,
        )


@dataclass(frozen=True)
class Standing:
    """How much of a quota is used. `limit` is None where there is none, `resets_at` where it is not by the day."""

    quota: Quota
    limit: int | None
    used: int
    resets_at: datetime | None


class Room:
    """What a workspace may still have of some quotas. Asked before something is stored whose size is known:

        Room(workspace=workspace, quotas=[Quota.GENERATIONS_A_DAY]).require(adding={Quota.GENERATIONS_A_DAY: 3})

    or, where the database alone knows how much it is, looked at before and asked afterwards:

        room = Room(workspace=workspace, quotas=[Quota.DOCUMENTS, Quota.BYTES])
        room.look()
        ...  # store documents
        room.require()

    All within one transaction, in which nothing after it waits for long: where there is little room, others who store
    something in the workspace wait for its end. Whoever locks end users does so before.

    Exact, but for one case: what is stored by requests that saw room for a hundred like them, and by an import that
    fills that room in the same moment, may go beyond by what those requests store.
    """

    def __init__(self, *, workspace: Workspace, quotas: Collection[Quota]) -> None:
        limits = {quota: limit_of(workspace=workspace, quota=quota) for quota in quotas}
        self._workspace = workspace
        self._limits = {quota: limit for quota, limit in limits.items() if limit is not None}
        self._before: dict[Quota, int] | None = None

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return bool(self._limits)

    def look(self) -> None:
        """Note how much there is, before something is stored."""
        if self._limits:
            self._before = self._used()

    def hold(self) -> None:
        """Let nobody else of the workspace come close to a limit until the transaction ends."""
        if self._limits:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"quota:{self._workspace.pk}"])

    def require(
        self,
        *,
        adding: Mapping[Quota, int] | None = None,
        promised: Mapping[Quota, int] | None = None,
        take_turns: bool = True,
    ) -> None:
        """Raise `QuotaExceeded` unless all of it is within the limits.

        `adding` is what the caller will store and has not yet, `promised` what others will for whom there must be room
        too. Without any growth nothing is refused, though there be more than there may. Whoever does not `take_turns`,
        because the transaction lasts, holds up nobody and goes beyond by what others store in the meantime.
        """
        if not self._limits:
            return
        adding, promised = adding or {}, promised or {}
        now = self._used()
        if take_turns and any(
            limit - now[quota] - adding.get(quota, 0) < _MARGINS[quota] for quota, limit in self._limits.items()
        ):
            self.hold()
            now = self._used()
        before = self._before or now
        for quota, limit in self._limits.items():
            standing = now[quota] + promised.get(quota, 0)
            wanted = standing + adding.get(quota, 0)
            if wanted > max(limit, before[quota]):
                shown = min(before[quota] + promised.get(quota, 0), standing)
                raise QuotaExceeded(quota=quota, limit=limit, used=shown)

    def _used(self) -> dict[Quota, int]:
        return used(workspace=self._workspace, quotas=list(self._limits))


def limit_of(*, workspace: Workspace, quota: Quota) -> int | None:
    """How much `workspace` may have, None for any amount."""
    own: int | None = getattr(workspace, _column(quota))
    default: int | None = getattr(settings, f"QUOTA_{quota.name}")
    return default if own is None else own


def standings(*, workspace: Workspace) -> list[Standing]:
    """Every quota, with or without a limit."""
    amounts = used(workspace=workspace, quotas=list(Quota))
    return [
        Standing(
            quota=quota,
            limit=limit_of(workspace=workspace, quota=quota),
            used=amounts[quota],
            resets_at=midnight() if quota is Quota.GENERATIONS_A_DAY else None,
        )
        for quota in Quota
    ]


@transaction.atomic
def set_quotas(*, workspace: Workspace, limits: Mapping[Quota, int | None], by: Actor = INSTALLATION) -> list[Quota]:
    """Give `workspace` these limits of its own, None for the installation's; those that were others before.

    What is there already stays, though it be more.
    """
    held = Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    changed = [quota for quota, limit in limits.items() if getattr(held, _column(quota)) != limit]
    for quota in changed:
        change = {"from": getattr(held, _column(quota)), "to": limits[quota]}
        setattr(held, _column(quota), limits[quota])
        record(workspace=workspace, action=AuditEntry.Action.QUOTA_CHANGED, by=by, subject=str(quota), details=change)
    held.save(update_fields=[_column(quota) for quota in changed])
    for quota in limits:
        setattr(workspace, _column(quota), limits[quota])
    return changed


def midnight() -> datetime:
    """When the day ends, in UTC."""
    tomorrow = timezone.now().astimezone(UTC).date() + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=UTC)


def _column(quota: Quota) -> str:
    return f"quota_{quota}"
