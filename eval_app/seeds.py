"""Several seeds: experiments that were asked for with the same settings and other seeds, averaged cell by cell."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Final

from eval_app.improvement import SAME
from eval_app.methods import Method
from eval_app.models import Experiment
from eval_app.table import Cell, Row, Spread, Table
from lamp.tasks import Metric
from users_app.models import Workspace

# What two experiments may differ in and still be the same but for chance.
_MAY_DIFFER: Final = ("seed", "reference")
_LOOKED_AT: Final = 200
NOT_IN_ALL: Final = "not in all seeds"
OTHER_QUESTIONS: Final = "answered other questions in another seed"


def with_other_seeds(*, workspace: Workspace, experiment: Experiment) -> list[Experiment]:
    """The ended experiments of `workspace` that differ from this one in nothing but their seed, by seed.

    One of each seed, the newest; of the last few hundred experiments on the dataset. Their reports are not read along.
    """
    others = Experiment.objects.filter(
        workspace=workspace, dataset=experiment.dataset_id, split=experiment.split, report__isnull=False
    )
    newest = others.exclude(pk=experiment.pk).defer("report", "versions", "hardware").order_by("-pk")[:_LOOKED_AT]
    own = experiment.configuration["seed"]
    found: dict[int, Experiment] = {}
    for other in newest:
        if _settings(other) == _settings(experiment) and other.configuration["seed"] != own:
            found.setdefault(other.configuration["seed"], other)
    return [found[seed] for seed in sorted(found)]


def reports_read(*, workspace: Workspace, experiment_ids: Collection[int]) -> list[Experiment]:
    """These experiments of `workspace` with their reports, in the order of their numbers."""
    return list(Experiment.objects.filter(workspace=workspace, pk__in=experiment_ids).order_by("pk"))


def with_spreads(table: Table, others: Sequence[Table]) -> Table:
    """`table` with the spread of each cell that has a comparable value in it and in each of `others`.

    A cell that has none there is not compared with means: it keeps its value and n, and says why (`unaveraged`).
    """
    if not others:
        return table
    found = [{(row.task.key, row.metric.name): row for row in other.rows} for other in others]
    return replace(table, rows=[_with_spreads(row, table.columns, found) for row in table.rows])


def _with_spreads(row: Row, columns: Sequence[Method], others: Sequence[Mapping[tuple[str, str], Row]]) -> Row:
    name = (row.task.key, row.metric.name)
    rows = [row, *(other.get(name) for other in others)]
    found = {method.key: [None if one is None else one.cells.get(method.key) for one in rows] for method in columns}
    spreads = {key: _spread(cells, row.metric) for key, cells in found.items()}
    sign = 1 if row.metric.higher_is_better else -1
    best = max((sign * one.mean for one in spreads.values() if one is not None), default=0.0)
    return replace(
        row,
        cells={
            key: _apart(row.cells[key], found[key])
            if spread is None
            else replace(row.cells[key], spread=_marked(spread, sign=sign, best=best))
            for key, spread in spreads.items()
        },
    )


def _spread(cells: Sequence[Cell | None], metric: Metric) -> Spread | None:
    values = [cell.value for cell in cells if cell is not None and cell.value is not None and cell.note is None]
    if len(values) < len(cells) or _questions_differ(cells):
        return None
    sign = 1 if metric.higher_is_better else -1
    gains = [sign * cell.delta for cell in cells if cell is not None and cell.delta is not None]
    relative = [cell.relative_gain for cell in cells if cell is not None and cell.relative_gain is not None]
    return Spread(
        mean=fmean(values),
        deviation=stdev(values),
        seeds=len(values),
        gain=fmean(gains) if len(gains) == len(cells) else None,
        relative_gain=fmean(relative) if len(relative) == len(cells) else None,
    )


def _questions_differ(cells: Sequence[Cell | None]) -> bool:
    return len({(cell.n, cell.users, cell.question_set) for cell in cells if cell is not None}) > 1


def _apart(cell: Cell, cells: Sequence[Cell | None]) -> Cell:
    """The cell without what would compare it: its row's other cells are means, of more seeds."""
    if cell.value is None:
        return cell
    everywhere = all(one is not None and one.value is not None for one in cells)
    reason = OTHER_QUESTIONS if everywhere and _questions_differ(cells) else NOT_IN_ALL
    return replace(
        cell,
        interval=None,
        delta=None,
        relative_gain=None,
        p_value=None,
        p_holm=None,
        wins=None,
        ties=None,
        losses=None,
        best=False,
        unaveraged=reason if cell.note is None else None,
    )


def _marked(spread: Spread | None, *, sign: int, best: float) -> Spread | None:
    return None if spread is None else replace(spread, best=abs(sign * spread.mean - best) <= SAME)


def _settings(experiment: Experiment) -> Mapping[str, object]:
    # Experiments of before there were controls have none.
    stored = {"controls": [], **experiment.configuration}
    return {name: value for name, value in stored.items() if name not in _MAY_DIFFER}
