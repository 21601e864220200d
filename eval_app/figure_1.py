"""Figure 1 of the paper for a comparison: do users with large profiles gain more? (LaMP reference §7)

For PEFT and for RAG, each task's best column by the task's first metric: the direction of each user's change against no
personalization, regressed on the size of their profile, per task and over all tasks together.
"""

from collections.abc import Mapping
from typing import Any

from eval_app.bootstrap import LEVEL, Interval
from eval_app.methods import NONE, Family, parse_method
from eval_app.models import UserImprovement
from eval_app.regression import Regression, UserPoint, regress
from lamp.catalogue import get_task
from users_app.models import Workspace

FAMILIES = (Family.PEFT, Family.RAG)
ALL = "all"


def figure_1(*, workspace: Workspace, measured: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The lines, by family and then by task and `all`; `measured` is the report's, by task and method.

    A line is {"n": users that changed, "slope": a document, "interval", "correlation", "p_value"} and what else it
    takes to draw it with its interval (`regression_of`), or None where none is defined. A family without a column that
    can be compared is left out.
    """
    lines: dict[str, dict[str, Any]] = {}
    for family in FAMILIES:
        points = {
            task: _points(workspace, run=run, baseline=baseline)
            for task, cells in measured.items()
            for run, baseline, _ in best_columns(task, cells, family)
        }
        if points:
            together = [point for of_task in points.values() for point in of_task]
            lines[family.value] = {task: _line(found) for task, found in {**points, ALL: together}.items()}
    return lines


def best_columns(task: str, cells: Mapping[str, Any], family: Family) -> list[tuple[int, int, str]]:
    """(run, baseline, method key) of the family's best column of a task; empty where there is none, or nothing to
    compare it with.
    """
    metric = get_task(task).metrics[0]
    sign = 1 if metric.higher_is_better else -1
    found = {
        (cell["run"], key): sign * cell["measured"]["values"][metric.name]
        for key, cell in cells.items()
        if "measured" in cell and cell["measured"]["comparison"] and _is_of(key, family)
    }
    baseline = cells.get(NONE.key, {}).get("run")
    if not found or not baseline:
        return []
    # Equal ones: the earlier run, whatever the order in which the database gives the columns back.
    run, key = max(found, key=lambda column: (found[column], -column[0]))
    return [(run, baseline, key)]


def regression_of(line: Mapping[str, Any] | None) -> Regression | None:
    """A line of a report as it was regressed; None where there is none, or where it was kept without what draws it."""
    if line is None or "intercept" not in line:
        return None
    interval = line["interval"]
    return Regression(
        n=line["n"],
        slope=line["slope"],
        intercept=line["intercept"],
        correlation=line["correlation"],
        p_value=line["p_value"],
        slope_interval=None if interval is None else Interval(*interval),
        level=LEVEL,
        mean_size=line["mean_size"],
        size_squares=line["size_squares"],
        residual_variance=line["residual_variance"],
    )


def _is_of(key: str, family: Family) -> bool:
    method = parse_method(key)
    return method.family is family and method.control is None


def _points(workspace: Workspace, *, run: int, baseline: int) -> list[UserPoint]:
    kept = UserImprovement.objects.filter(run=run, baseline=baseline, run__workspace=workspace)
    return [UserPoint(*values) for values in kept.order_by("end_user_id").values_list("profile_size", "direction")]


def _line(points: list[UserPoint]) -> dict[str, Any] | None:
    line = regress(points)
    if line is None:
        return None
    return {
        "n": line.n,
        "slope": line.slope,
        "interval": None if line.slope_interval is None else list(line.slope_interval),
        "correlation": line.correlation,
        "p_value": line.p_value,
        "intercept": line.intercept,
        "mean_size": line.mean_size,
        "size_squares": line.size_squares,
        "residual_variance": line.residual_variance,
    }
