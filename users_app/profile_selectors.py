"""Reads of what a profile is made of, for people to look at: always of one end user of one workspace."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Count, F, Max, Min, QuerySet

from users_app.models import Document, EndUser, ProfileEntry, Workspace
from users_app.selectors import document_counts

MOST_TASKS: Final = 50
MOST_PERIODS: Final = 36
_MONTHS_READ: Final = 600
_ENTRIES_READ: Final = 1_000


@dataclass(frozen=True)
class TaskDocuments:
    """How many documents of a task are known of an end user, how many stand in the live profile, and since when."""

    task: str
    documents: int
    live: int
    first_at: datetime
    last_at: datetime


def documents_by_task(*, workspace: Workspace, end_user: EndUser) -> list[TaskDocuments]:
    """By task, what is known of an end user: the live profile, what was removed from it, and what datasets hold."""
    live = document_counts(workspace=workspace, end_user=end_user)
    counted = (
        Document.objects.filter(end_user=end_user, end_user__workspace=workspace)
        .order_by("task")
        .values_list("task")
        .annotate(number=Count("pk"), first=Min("created_at"), last=Max("created_at"))
    )
    return [
        TaskDocuments(task, number, live.get(task, 0), first, last)
        for task, number, first, last in counted[:MOST_TASKS]
    ]


@dataclass(frozen=True)
class Period:
    """How many of a task's documents are dated in a month ("2019-03") or a year, or without a date or earlier."""

    name: str
    documents: int


def documents_by_period(*, workspace: Workspace, end_user: EndUser, task: str) -> list[Period]:
    """A task's documents by their own dates, the newest period first; by years where there are too many months.

    At most `MOST_PERIODS` of them, what is older together in one more, and one for those without a date.
    """
    own = Document.objects.filter(end_user=end_user, end_user__workspace=workspace, task=task)
    dated = own.filter(date_key__isnull=False)
    months = dated.annotate(year=F("date_key__0"), month=F("date_key__1")).order_by(
        F("year").desc(), F("month").desc(nulls_last=True)
    )
    counted = list(months.values_list("year", "month").annotate(number=Count("pk"))[:_MONTHS_READ])
    totals = own.aggregate(all=Count("pk"), dated=Count("date_key"))
    periods = _by_months(counted)
    if len(periods) > MOST_PERIODS:
        periods = _by_years(counted)
    kept = periods[:MOST_PERIODS]
    earlier = totals["dated"] - sum(one.documents for one in kept)
    rest = [Period("earlier", earlier), Period("without a date", totals["all"] - totals["dated"])]
    return kept + [one for one in rest if one.documents]


def _by_months(counted: list[tuple[int, int | None, int]]) -> list[Period]:
    return [Period(f"{year}" if month is None else f"{year}-{month:02}", number) for year, month, number in counted]


def _by_years(counted: list[tuple[int, int | None, int]]) -> list[Period]:
    years: dict[int, int] = {}
    for year, _, number in counted:
        years[year] = years.get(year, 0) + number
    return [Period(str(year), number) for year, number in years.items()]


def places_of(*, workspace: Workspace, end_user: EndUser, documents: Collection[Document]) -> dict[int, ProfileEntry]:
    """By document, where it stands in the live profile, or stood last; a dataset's document may stand nowhere."""
    entries: QuerySet[ProfileEntry] = ProfileEntry.objects.filter(
        end_user=end_user, end_user__workspace=workspace, document__in=[one.pk for one in documents]
    )
    places: dict[int, ProfileEntry] = {}
    for entry in entries.order_by(F("removed_at").desc(nulls_first=True), "-position")[:_ENTRIES_READ]:
        places.setdefault(entry.document_id, entry)
    return places
