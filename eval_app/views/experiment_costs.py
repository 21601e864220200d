"""Quality against cost: what each method of an experiment is worth, what it costs, and what it would for more users."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.http import QueryDict

from eval_app.cost_quality import AVERAGE, Standing, front_of, standings_on_average, standings_on_task
from eval_app.methods import Family
from eval_app.models import Experiment
from eval_app.reports import experiment_table
from eval_app.spending import MEASURES, Measure, Power, Spending, projection, spending
from eval_app.table import Table
from eval_app.views.found import or_404
from eval_app.workspace_selectors import columns_of, experiments_of
from lamp.catalogue import get_task
from training_app.costs.estimates import PUE
from training_app.costs.hardware import GPUS
from training_app.costs.words import bytes_in_words, number_in_words
from users_app.views.base import WorkspacePage

PROCESSOR_WATTS: Final = 65.0
"""Of a machine without an accelerator of which we know the power: about what one desktop processor takes at work."""

_USERS: Final = 1_000_000
_USERS_MOST: Final = 10**10
_LONGEST_NUMBER: Final = 30
_COST: Final = "latency_ms"


@dataclass(frozen=True)
class Choice:
    """What the query string asks for, or what holds where it does not; what makes no sense is ignored."""

    task: str
    measure: Measure
    power: Power
    users: int


class ExperimentCostsPage(WorkspacePage):
    """A plot and a table of quality against a cost of choice, on one task or averaged over all."""

    template_name = "eval_app/experiment_costs.html"
    title = "Quality against cost"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        found = experiments_of(workspace=self.workspace).defer(None).filter(pk=self.kwargs["experiment_id"]).first()
        experiment = or_404(found)
        if experiment.report is None:
            return super().get_context_data(experiment=experiment, **context)
        table = experiment_table(experiment=experiment)
        tasks = list(dict.fromkeys(row.task.key for row in table.rows))
        choice = _choice(self.request.GET, tasks=tasks, usual_watts=usual_watts(experiment.hardware))
        costs = _spending(experiment, table, choice.power)
        return super().get_context_data(
            experiment=experiment,
            choice=choice,
            tasks=tasks,
            average=AVERAGE,
            measures=MEASURES,
            **_shown(table, costs, choice),
            **context,
        )


def usual_watts(hardware: Mapping[str, Any]) -> float:
    """The power at its limit of the accelerator that was recorded, as its data sheet says; else a processor's."""
    words = set(re.split(r"[\s-]+", str(hardware.get("accelerator", "")).lower()))
    return next((gpu.watts for gpu in GPUS.values() if _NAMES[gpu.name] in words), PROCESSOR_WATTS)


# The word by which drivers call each: "NVIDIA A100-SXM4-80GB", "NVIDIA GeForce RTX 4090".
_NAMES: Final = {name: name.removeprefix("rtx-").partition("-")[0] for name in GPUS}


def _choice(query: QueryDict, *, tasks: Sequence[str], usual_watts: float) -> Choice:
    task = query.get("task", "")
    measures = {measure.name: measure for measure in MEASURES}
    users = _number(query, "users", _USERS)
    try:
        power = Power(_number(query, "watts", usual_watts), _number(query, "pue", PUE))
    except ValueError:
        power = Power(usual_watts, PUE)
    usual_task = AVERAGE if len(tasks) > 1 or not tasks else tasks[0]
    return Choice(
        task=task if task in (*tasks, AVERAGE) else usual_task,
        measure=measures.get(query.get("cost", ""), measures[_COST]),
        power=power,
        users=int(users) if 1 <= users <= _USERS_MOST else _USERS,
    )


def _number(query: QueryDict, name: str, usual: float) -> float:
    written = query.get(name, "")
    try:
        value = float(written) if len(written) <= _LONGEST_NUMBER else math.nan
    except ValueError:
        return usual
    return value if math.isfinite(value) else usual


def _spending(experiment: Experiment, table: Table, power: Power) -> dict[tuple[str, str], Spending]:
    answered = {(row.task.key, key): cell.n for row in table.rows for key, cell in row.cells.items()}
    return {
        (column.task, column.method): spending(
            family=Family(column.run.family),
            costs=column.run.costs,
            questions=answered.get((column.task, column.method), 0),
            power=power,
        )
        for column in columns_of(experiment=experiment)
        if column.run is not None
    }


def _shown(table: Table, costs: Mapping[tuple[str, str], Spending], choice: Choice) -> dict[str, Any]:
    higher_is_better = True
    if choice.task == AVERAGE:
        standings = standings_on_average(table=table, spending=costs)
        quality = "Relative improvement"
        unit = "%"
    else:
        task = get_task(choice.task)
        standings = standings_on_task(table=table, task=task, spending=costs)
        quality, unit = task.primary_metric.name, ""
        higher_is_better = task.primary_metric.higher_is_better
    front = front_of(standings, cost=choice.measure.name, higher_is_better=higher_is_better)
    return {
        "quality": quality,
        "quality_unit": unit,
        "decimals": 2 if unit else 4,
        "users_in_words": f"{choice.users:,}",
        "higher_is_better": higher_is_better,
        "rows": [_row(one, front, choice) for one in standings],
        "front": front,
        "plot": {
            "points": [point for one in standings if (point := _point(one, front, choice)) is not None],
            "front": front,
            "cost": f"{choice.measure.title} ({choice.measure.unit})",
            "quality": f"{quality} ({unit})" if unit else quality,
            "higherIsBetter": higher_is_better,
        },
    }


def _row(one: Standing, front: Sequence[str], choice: Choice) -> dict[str, Any]:
    projected = projection(one.spending, users=choice.users)
    return {
        "method": one.method,
        "quality": one.quality,
        "reason": one.reason,
        "on_front": one.method.key in front,
        "costs": [
            (measure, _said(getattr(one.spending, measure.name), measure), measure == choice.measure)
            for measure in MEASURES
        ],
        "hours": _in_words(projected.training_hours),
        "stored": None if projected.stored_bytes is None else bytes_in_words(projected.stored_bytes),
        "kwh": _in_words(projected.training_kwh),
    }


def _point(one: Standing, front: Sequence[str], choice: Choice) -> dict[str, Any] | None:
    cost = getattr(one.spending, choice.measure.name)
    if one.quality is None or cost is None:
        return None
    return {
        "key": one.method.key,
        "title": one.method.title,
        "family": one.method.family.heading,
        "cost": cost,
        "quality": one.quality,
        "onFront": one.method.key in front,
        "note": one.reason or "",
    }


def _said(value: float | None, measure: Measure) -> str | None:
    if value is not None and measure.unit == "bytes":
        return bytes_in_words(value)
    return _in_words(value)


def _in_words(value: float | None) -> str | None:
    return None if value is None else number_in_words(value)
