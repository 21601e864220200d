"""An experiment's table as somebody chose to look at it: read for its page and for the files made of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from eval_app.baselines import stored_comparisons
from eval_app.methods import NONE, Method
from eval_app.models import Experiment
from eval_app.reports import experiment_table
from eval_app.seeds import reports_read, with_other_seeds, with_spreads
from eval_app.table import Table
from eval_app.table_choices import TableChoices
from users_app.models import Workspace


@dataclass(frozen=True, slots=True)
class ReadTable:
    """The whole table, the part of it that was chosen, and the experiments whose seeds may be averaged with it."""

    whole: Table
    shown: Table
    other_seeds: Sequence[Experiment]
    averaged: Sequence[Experiment]


def read_table(*, workspace: Workspace, experiment: Experiment, choices: TableChoices) -> ReadTable | None:
    """The table of an experiment that has its report; None where it was not yet compared with the chosen baseline."""
    whole = _table(experiment, choices.baseline)
    if whole is None:
        return None
    others = with_other_seeds(workspace=workspace, experiment=experiment)
    averaged = [other for other in others if other.pk in choices.seeds]
    tables = [
        # Only their values are averaged, so they need not have been compared with the baseline.
        experiment_table(
            experiment=other, baseline=choices.baseline, comparisons=None if choices.baseline == NONE else {}
        )
        for other in reports_read(workspace=workspace, experiment_ids=[other.pk for other in averaged])
    ]
    # Means decide the order, and what is best among what is shown.
    shown = with_spreads(choices.shown(with_spreads(whole, tables)), tables)
    return ReadTable(whole=whole, shown=shown, other_seeds=others, averaged=averaged)


def known_choices(choices: TableChoices, table: ReadTable) -> TableChoices:
    """The choices without what the table does not have, so that links do not carry it on."""
    tasks = {row.task.key for row in table.whole.rows}
    metrics = {row.metric.name for row in table.whole.rows}
    columns = {method.key for method in table.whole.columns}
    return replace(
        choices,
        tasks=tuple(one for one in choices.tasks if one in tasks),
        metrics=tuple(one for one in choices.metrics if one in metrics),
        columns=tuple(one for one in choices.columns if one in columns),
        seeds=tuple(one.pk for one in table.averaged),
    )


def _table(experiment: Experiment, baseline: Method) -> Table | None:
    if baseline == NONE:
        return experiment_table(experiment=experiment)
    comparisons = stored_comparisons(experiment=experiment, baseline=baseline)
    if comparisons is None:
        return None
    return experiment_table(experiment=experiment, baseline=baseline, comparisons=comparisons)
