"""The comparison table of an experiment: its page, its files, and its comparison with another baseline."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.text import slugify

from eval_app.baselines import (
    UnknownBaseline,
    baselines_of,
    comparison_job,
    request_comparison,
    stored_comparisons,
)
from eval_app.export import to_csv, to_json, to_latex
from eval_app.layout import (
    average_line,
    chosen_line,
    figure_1_line,
    legend,
    reference_average_line,
    reference_title,
    unbounded_line,
)
from eval_app.methods import NONE, MethodError, parse_method
from eval_app.models import Experiment
from eval_app.supplements import supplements_of
from eval_app.table import Table
from eval_app.table_choices import DETAILS, TableChoices
from eval_app.table_page import lay_out, published_heads, published_lines, runs_of
from eval_app.table_picture import table_png
from eval_app.tables import ReadTable, known_choices, read_table
from eval_app.workspace_selectors import experiments_of
from jobs.models import UNFINISHED, Job, State
from users_app.models import Workspace
from users_app.views.base import WorkspacePage

FORMS: Final[Mapping[str, tuple[str, Callable[[Table], str | bytes]]]] = {
    "csv": ("text/csv; charset=utf-8", to_csv),
    "json": ("application/json", to_json),
    "tex": ("application/x-latex; charset=utf-8", to_latex),
    "png": ("image/png", table_png),
}
"""The files that a table can be had as: their endings, what they are, and who writes them."""


class ExperimentTablePage(WorkspacePage):
    """Tasks and metrics in rows, methods in columns, held against the baseline that the query string names."""

    template_name = "eval_app/table.html"
    title = "Comparison table"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        experiment = experiment_or_404(workspace=self.workspace, experiment_id=self.kwargs["experiment_id"])
        context |= {"experiment": experiment, "title": f"Table of {experiment.name}"}
        if experiment.report is None:
            return {**super().get_context_data(), **context}
        baselines = baselines_of(experiment=experiment)
        choices = TableChoices.of(self.request.GET, baselines=baselines)
        read = read_table(workspace=self.workspace, experiment=experiment, choices=choices)
        context |= {"baselines": baselines, "baseline": choices.baseline}
        if read is None:
            job = comparison_job(experiment=experiment, baseline=choices.baseline)
            context |= {"waiting": True, **_progress_of(job), "choices": choices}
        else:
            context |= _table_context(read, choices=known_choices(choices, read), experiment=experiment)
        context["query"] = context["choices"].query_string()
        return {**super().get_context_data(), **context}


class ComparisonProgress(WorkspacePage):
    """How far the comparison with a baseline is, as a part of the table's page; a POST asks for one."""

    template_name = "eval_app/comparison_progress.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        experiment = experiment_or_404(workspace=self.workspace, experiment_id=kwargs["experiment_id"])
        choices = TableChoices.of(request.GET, baselines=baselines_of(experiment=experiment))
        if choices.baseline == NONE or stored_comparisons(experiment=experiment, baseline=choices.baseline) is not None:
            # The page then shows the table itself.
            return HttpResponse(headers={"HX-Refresh": "true"})
        job = comparison_job(experiment=experiment, baseline=choices.baseline)
        context = self.get_context_data(
            experiment=experiment,
            baseline=choices.baseline,
            query=choices.query_string(),
            **_progress_of(job),
        )
        return self.render_to_response(context)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Have the table compared with the baseline that was chosen, and show it."""
        experiment = experiment_or_404(workspace=self.workspace, experiment_id=kwargs["experiment_id"])
        try:
            baseline = parse_method(request.POST.get("baseline", ""))
            request_comparison(experiment=experiment, baseline=baseline)
        except (MethodError, UnknownBaseline):
            messages.error(request, "This experiment has no such baseline.")
            baseline = NONE
        query = QueryDict(request.POST.get("query", "").removeprefix("?"), mutable=True)
        query.pop("baseline", None)
        if baseline != NONE:
            query["baseline"] = baseline.key
        address = reverse("experiment-table", kwargs={"workspace": self.workspace.slug, "experiment_id": experiment.pk})
        return redirect(f"{address}?{query.urlencode()}" if query else address)


class ExperimentTableFile(WorkspacePage):
    """The table as a file, as the query string chooses it: the same as its page shows."""

    form: ClassVar[str] = "csv"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        experiment = experiment_or_404(workspace=self.workspace, experiment_id=kwargs["experiment_id"])
        if experiment.report is None:
            raise Http404("The experiment has not ended: there is no table yet.")
        choices = TableChoices.of(request.GET, baselines=baselines_of(experiment=experiment))
        read = read_table(workspace=self.workspace, experiment=experiment, choices=choices)
        if read is None:
            raise Http404("The table was not yet compared with that baseline.")
        media_type, write = FORMS[self.form]
        return as_download(
            write(read.shown), media_type=media_type, name=f"{slugify(experiment.name) or 'table'}-table.{self.form}"
        )


def experiment_or_404(*, workspace: Workspace, experiment_id: int) -> Experiment:
    """The workspace's experiment of that number with its report; raises `Http404`."""
    experiment = experiments_of(workspace=workspace).defer(None).filter(pk=experiment_id).first()
    if experiment is None:
        raise Http404
    return experiment


def as_download(content: str | bytes, *, media_type: str, name: str) -> HttpResponse:
    """A file for the browser to keep."""
    return HttpResponse(
        content, content_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _table_context(read: ReadTable, *, choices: TableChoices, experiment: Experiment) -> dict[str, Any]:
    table, whole = read.shown, read.whole
    lines = (
        legend(table),
        average_line(table),
        chosen_line(table),
        unbounded_line(table),
        figure_1_line(table),
    )
    return {
        "choices": choices,
        "table": table,
        "laid": lay_out(table, choices=choices, runs=runs_of(experiment.report or {"measured": {}})),
        "remarks": [line for line in lines if line],
        "supplements": [
            {"of": one, "lines": [(line, [line.cells[method.key] for method in one.columns]) for line in one.lines]}
            for one in supplements_of(table)
        ],
        "tasks": list({row.task.key: row.task for row in whole.rows}.values()),
        "metrics": list(dict.fromkeys(row.metric.name for row in whole.rows)),
        "columns": whole.columns,
        "details": DETAILS,
        "other_seeds": read.other_seeds,
        "averaged": read.averaged,
        "left": _left_of(whole),
        "published": {
            "title": reference_title(),
            "average": reference_average_line(),
            "heads": published_heads(),
            "lines": published_lines([row.task.key for row in table.rows]),
        }
        if table.reference
        else None,
        "files": list(FORMS),
    }


def _left_of(table: Table) -> bool:
    """Whether users of the table were erased, so that a comparison made since is of those who are left."""
    return table.baseline != NONE and any(cell.erased for row in table.rows for cell in row.cells.values())


def _progress_of(job: Job | None) -> dict[str, Any]:
    under_way = job is not None and job.state in UNFINISHED
    return {
        "job": job,
        "is_under_way": under_way,
        "failure": job.error_message or job.error_type if job is not None and job.state == State.FAILED else "",
    }
