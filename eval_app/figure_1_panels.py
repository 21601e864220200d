"""What Figure 1 draws: users by the size of their profile and how their score moved, and the line through them.

The line is the report's, which is of all users. Users are read as they are now and stand together in marks, so that a
figure of ten thousand is as quick as one of ten; of an erased user nothing is drawn.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Avg, Count, ExpressionWrapper, F, FloatField, Max, Min, QuerySet
from django.db.models.functions import Floor

from eval_app.figure_1 import ALL, FAMILIES, best_columns, regression_of
from eval_app.methods import Family, parse_method
from eval_app.models import Experiment, UserImprovement
from eval_app.regression import Band, Regression
from users_app.models import Workspace

SIZES_MOST: Final = 60
"""How many different profile sizes a figure shows at most; users of neighbouring sizes then share a mark."""

_STEPS: Final = 50


@dataclass(frozen=True, slots=True)
class Mark:
    """`users` of about one profile size (their mean `size`) whose score moved the same way: 1, 0 or −1."""

    size: float
    direction: int
    users: int


@dataclass(frozen=True, slots=True)
class MeanMark:
    """Of the users of about one profile size whose score changed, the mean direction and how many they are."""

    size: float
    direction: float
    users: int


@dataclass(frozen=True, slots=True)
class Panel:
    """One family's part of the figure; `columns` are its best columns, by task. `line` is None where none is defined.

    `line_kept` is False where the report knows a line's slope and not where it runs.
    """

    family: Family
    columns: Mapping[str, str]
    marks: Sequence[Mark]
    line: Regression | None
    stored: Mapping[str, Any] | None

    @property
    def line_kept(self) -> bool:
        return self.stored is None or self.line is not None

    @property
    def means(self) -> list[MeanMark]:
        """The mean direction of the users who changed, by profile size."""
        by_size: dict[float, list[Mark]] = {}
        for mark in self.marks:
            if mark.direction:
                by_size.setdefault(mark.size, []).append(mark)
        return [
            MeanMark(size, sum(mark.direction * mark.users for mark in marks) / users, users)
            for size, marks in by_size.items()
            if (users := sum(mark.users for mark in marks))
        ]

    def users(self, direction: int) -> int:
        """How many moved this way."""
        return sum(mark.users for mark in self.marks if mark.direction == direction)


@dataclass(frozen=True, slots=True)
class Figure1:
    """The figure of a task or of `ALL`: its panels, the range of profile sizes, and how wide a mark's sizes are.

    `low` and `high` are None where nobody is left to draw. Users in one mark differ by less than `width` documents.
    """

    task: str
    panels: Sequence[Panel]
    low: float | None
    high: float | None
    width: int

    def drawn_line(self, panel: Panel) -> tuple[list[float], Band] | None:
        """Profile sizes and the line's height there with its interval; None where it cannot be drawn."""
        if panel.line is None or self.low is None or self.high is None or self.low == self.high:
            return None
        step = (self.high - self.low) / _STEPS
        sizes = [self.low + step * at for at in range(_STEPS + 1)]
        band = panel.line.band(sizes)
        return None if band is None else (sizes, band)


def figure_tasks(*, experiment: Experiment) -> list[str]:
    """The tasks of an experiment's report that the figure can show, after `ALL`; none where it has no line at all."""
    lines = (experiment.report or {}).get("figure_1") or {}
    tasks = {task for of_family in lines.values() for task in of_family if task != ALL}
    return [ALL, *sorted(tasks)] if tasks else []


def read_figure_1(*, workspace: Workspace, experiment: Experiment, task: str) -> Figure1:
    """The figure of one task of an experiment that has its report, or of `ALL`."""
    report = experiment.report or {}
    tasks = [one for one in report["measured"] if task in (ALL, one)]
    best = {
        family: {one: column for one in tasks for column in best_columns(one, report["measured"][one], family)}
        for family in FAMILIES
    }
    family_of = {run: family for family, columns in best.items() for run, _, _ in columns.values()}
    baselines = {baseline for columns in best.values() for _, baseline, _ in columns.values()}
    kept = UserImprovement.objects.filter(
        run__in=family_of, baseline__in=baselines, run__workspace=workspace, end_user__workspace=workspace
    )
    low, high, width = _bins(kept)
    marks: dict[Family, list[Mark]] = {family: [] for family in FAMILIES}
    if low is not None:
        for family, mark in _marks(kept, family_of, low=low, width=width):
            marks[family].append(mark)
    lines = report.get("figure_1") or {}
    return Figure1(
        task=task,
        panels=[
            Panel(
                family=family,
                columns={one: parse_method(key).title for one, (_, _, key) in columns.items()},
                marks=marks[family],
                line=regression_of(lines.get(family.value, {}).get(task)),
                stored=lines.get(family.value, {}).get(task),
            )
            for family, columns in best.items()
            if columns
        ],
        low=low,
        high=high,
        width=width,
    )


def _bins(kept: QuerySet[UserImprovement]) -> tuple[float | None, float | None, int]:
    ends = kept.order_by().aggregate(low=Min("profile_size"), high=Max("profile_size"))
    low, high = ends["low"], ends["high"]
    return (None, None, 1) if low is None else (low, high, max(1, math.ceil((high - low) / SIZES_MOST)))


def _marks(
    kept: QuerySet[UserImprovement], family_of: Mapping[int, Family], *, low: float, width: int
) -> list[tuple[Family, Mark]]:
    place = ExpressionWrapper((F("profile_size") - low) / float(width), output_field=FloatField())
    grouped = (
        kept.order_by()
        .values("run_id", "direction", place=Floor(place))
        .annotate(users=Count("pk"), size=Avg("profile_size"))
        .values_list("run_id", "direction", "place", "users", "size")
    )
    together: dict[tuple[Family, int, int], tuple[int, float]] = {}
    sizes: dict[int, tuple[int, float]] = {}
    for run_id, direction, at, users, size in grouped:
        key = (family_of[run_id], int(at), direction)
        before, total = together.get(key, (0, 0.0))
        together[key] = (before + users, total + users * size)
        here, sum_here = sizes.get(int(at), (0, 0.0))
        sizes[int(at)] = (here + users, sum_here + users * size)
    return [
        # One place on the axis for all marks of a bin, whichever way their users went.
        (family, Mark(size=round(sizes[at][1] / sizes[at][0], 2), direction=direction, users=users))
        for (family, at, direction), (users, _) in sorted(together.items())
    ]
