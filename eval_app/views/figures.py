"""Figure 1 of an experiment: its page and its pictures."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.text import slugify

from eval_app.drawing import Form
from eval_app.figure_1 import ALL
from eval_app.figure_1_panels import Figure1, Panel, figure_tasks, read_figure_1
from eval_app.figure_1_picture import figure_1_picture
from eval_app.methods import Family
from eval_app.views.tables import as_download, experiment_or_404
from users_app.views.base import WorkspacePage

FORMS: Final[Mapping[Form, str]] = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
"""The pictures that the figure can be had as: their endings, and what they are."""


class Figure1Page(WorkspacePage):
    """Improvement against profile size with regression line and interval, of the task that the query string names."""

    template_name = "eval_app/figure_1.html"
    title = "Figure 1"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        experiment = experiment_or_404(workspace=self.workspace, experiment_id=self.kwargs["experiment_id"])
        tasks = figure_tasks(experiment=experiment)
        context |= {"experiment": experiment, "title": f"Figure 1 of {experiment.name}", "tasks": tasks, "all": ALL}
        if tasks:
            task = chosen_task(self.request, tasks)
            figure = read_figure_1(workspace=self.workspace, experiment=experiment, task=task)
            context |= {
                "task": task,
                "figure": figure,
                "drawn": [_drawn(figure, panel) for panel in figure.panels],
                "lines": _lines(experiment.report or {}, tasks),
                "files": list(FORMS),
            }
        return {**super().get_context_data(), **context}


class Figure1File(WorkspacePage):
    """The figure in the paper's style, of the task that the query string names."""

    form: ClassVar[Form] = "png"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        experiment = experiment_or_404(workspace=self.workspace, experiment_id=kwargs["experiment_id"])
        tasks = figure_tasks(experiment=experiment)
        if not tasks:
            raise Http404("The experiment has nothing to draw: neither PEFT nor RAG beside no personalization.")
        task = chosen_task(request, tasks)
        figure = read_figure_1(workspace=self.workspace, experiment=experiment, task=task)
        name = "-".join((slugify(experiment.name) or "experiment", "figure-1", slugify(task)))
        return as_download(
            figure_1_picture(figure, form=self.form), media_type=FORMS[self.form], name=f"{name}.{self.form}"
        )


def chosen_task(request: HttpRequest, tasks: list[str]) -> str:
    """The task that the query string names, all of them where it names none that there is."""
    task = request.GET.get("task", ALL)
    return task if task in tasks else ALL


def _drawn(figure: Figure1, panel: Panel) -> dict[str, Any]:
    """What the page's script draws of a panel."""
    line = figure.drawn_line(panel)
    return {
        "family": panel.family.value,
        "title": panel.family.heading,
        "marks": [[mark.size, mark.direction, mark.users] for mark in panel.marks],
        "means": [[mark.size, mark.direction, mark.users] for mark in panel.means],
        "line": None
        if line is None
        else {
            "x": line[0],
            "y": [round(float(one), 6) for one in line[1].line],
            "low": [round(float(one), 6) for one in line[1].low],
            "high": [round(float(one), 6) for one in line[1].high],
        },
    }


def _lines(report: Mapping[str, Any], tasks: list[str]) -> list[dict[str, Any]]:
    """Every line of the report in words, by task."""
    lines = report.get("figure_1") or {}
    return [
        {"task": task, "family": Family(family).heading, **_said(of_family[task])}
        for task in tasks
        for family, of_family in sorted(lines.items())
        if task in of_family
    ]


def _said(line: Mapping[str, Any] | None) -> dict[str, str]:
    if line is None:
        return {"n": "", "slope": "", "interval": "", "correlation": "", "p": ""}
    p, correlation = line["p_value"], line["correlation"]
    return {
        "n": f"{line['n']:,}",
        "slope": f"{10 * line['slope']:+.4f}",
        "interval": "–" if line["interval"] is None else " to ".join(f"{10 * end:+.4f}" for end in line["interval"]),
        "correlation": "–" if correlation is None else f"{correlation:+.3f}",
        "p": "–" if p is None else ("< 0.001" if p < 0.001 else f"{p:.3f}"),
    }
