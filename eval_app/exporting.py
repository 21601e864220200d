"""What leaves the platform: an experiment's predictions in LaMP's form, and its table as text."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from eval_app.export import to_csv, to_json, to_latex, to_markdown
from eval_app.models import Experiment, ExperimentRun, Prediction, Run
from eval_app.reports import experiment_table
from eval_app.selectors import NotFound
from eval_app.table import Table
from lamp.catalogue import get_task
from lamp.predictions import write_predictions

_CHUNK = 1000

FORMS: Mapping[str, Callable[[Table], str]] = {
    "json": to_json,
    "csv": to_csv,
    "markdown": to_markdown,
    "latex": to_latex,
}
"""The forms that a table can be written in."""


class NotExportable(ValueError):
    """What was asked for is not complete; the message says what is missing and what to do."""


def column_of(*, experiment: Experiment, task: str, method: str) -> ExperimentRun:
    """The column of `experiment` that shows `method` on `task` (their keys); raises `NotFound` naming what there is."""
    columns = experiment.columns.select_related("run__split", "run__workspace")
    column = columns.filter(task=task, method=method).first()
    if column is not None:
        return column
    methods = list(columns.filter(task=task).order_by("id").values_list("method", flat=True))
    if methods:
        raise NotFound(f"Experiment “{experiment.name}” has no {method} for {task}; it has {', '.join(methods)}.")
    tasks = sorted(set(columns.values_list("task", flat=True)))
    raise NotFound(f"Experiment “{experiment.name}” has no {task}; it has {', '.join(tasks)}.")


def export_predictions(*, experiment: Experiment, task: str, method: str, path: Path) -> int:
    """Write what `method` answered to each question of `task`, in the file's order and with its own ids; how many.

    The file appears whole or not at all. Raises `NotFound`, and `NotExportable` where not every question is answered.
    """
    column = column_of(experiment=experiment, task=task, method=method)
    if column.refusal:
        raise NotExportable(f"{method} was not run on {task}: {column.refusal}")
    run = column.run
    if run is None or run.state != Run.State.DONE:
        state = "has not begun" if run is None else f"is {run.state}"
        raise NotExportable(
            f"{method} on {task} {state}: export it once it is done. `manage.py run_experiment` goes on with it."
        )
    return write_predictions(path, task=get_task(task), predictions=_answers(run))


def _answers(run: Run) -> Iterator[tuple[str | int, str]]:
    rows = (
        Prediction.objects.filter(run=run, run__workspace=run.workspace_id)
        .order_by("question__position")
        .values_list("question__external_id", "question__id_is_integer", "output")
    )
    for question_id, is_integer, output in rows.iterator(_CHUNK):
        yield int(question_id) if is_integer else question_id, output


def table_text(*, experiment: Experiment, form: str, reference: bool = False) -> str:
    """The experiment's table in one of `FORMS`; with `reference` the paper's published numbers stand beside it.

    Raises `NotExportable` where the experiment has not ended.
    """
    if experiment.report is None:
        raise NotExportable(
            f"Experiment “{experiment.name}” has not ended, so there is no table yet. "
            "`manage.py run_experiment` goes on with it."
        )
    table = experiment_table(experiment=experiment)
    return FORMS[form](replace(table, reference=table.reference or reference))
