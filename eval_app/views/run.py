"""One run: with what it was made, how well it answered, at what cost, and how to make it again."""

from typing import Any

from django.http import Http404

from common.model_names import without_paths
from eval_app.loss_curves import BAND, loss_curve
from eval_app.models import Experiment, Run
from eval_app.run_commands import repeat_command
from eval_app.run_settings import settings_of, surroundings_of, title_of
from eval_app.workspace_selectors import experiments_of, run_by_id
from lamp.catalogue import UnknownTask, get_task
from users_app.views.base import WorkspacePage

_EXPERIMENTS_SHOWN = 20


class OneRun(WorkspacePage):
    """A page about the run that stands in the address; 404 where the workspace has none of that number."""

    def find(self) -> Run:
        """That run, with all that it belongs to."""
        found = run_by_id(workspace=self.workspace, run_id=self.kwargs["run_id"])
        if found is None:
            raise Http404
        return found


class RunPage(OneRun):
    """Everything about a run that is not an answer."""

    template_name = "eval_app/run.html"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        run = self.find()
        curve = loss_curve(workspace=self.workspace, run=run)
        return super().get_context_data(
            run=run,
            heading=title_of(run),
            error=without_paths(run.error),
            metrics=_metrics(run),
            costs=_costs(run),
            settings=settings_of(run),
            surroundings=surroundings_of(run),
            command=repeat_command(run, shows_paths=self.request.user.is_superuser),
            curve=curve,
            curve_data=None if curve is None else {**vars(curve), "band": list(BAND)},
            experiments=self._experiments(run),
            **context,
        )

    def _experiments(self, run: Run) -> list[Experiment]:
        """Those that use it, the newest first."""
        found = experiments_of(workspace=self.workspace).filter(columns__run=run)
        return list(found.order_by("-pk").distinct()[:_EXPERIMENTS_SHOWN])


def _metrics(run: Run) -> list[tuple[str, float, str]]:
    """(name, value, which way is better) in the task's order."""
    if not run.metrics:
        return []
    try:
        directions = {
            metric.name: "higher is better" if metric.higher_is_better else "lower is better"
            for metric in get_task(run.split.task).metrics
        }
    except UnknownTask:
        directions = {}
    names = [*(name for name in directions if name in run.metrics), *(set(run.metrics) - set(directions))]
    return [(name, run.metrics[name], directions.get(name, "")) for name in names]


def _costs(run: Run) -> list[tuple[str, Any, str]]:
    """(what, how much, its unit: "time", "bytes" or "count") of what was measured."""
    costs = run.costs or {}
    shown = (
        ("Questions", run.question_count, "count"),
        ("Input tokens", costs.get("input_tokens"), "count"),
        ("Output tokens", costs.get("output_tokens"), "count"),
        ("Retrieval a question", _seconds(costs.get("retrieval_ms")), "time"),
        ("Loading the adapter a question", _seconds(costs.get("adapter_ms")), "time"),
        ("Model a question", _seconds(costs.get("model_ms")), "time"),
        ("Adapters", costs.get("adapters") or None, "count"),
        ("Training, all adapters", costs.get("training_seconds"), "time"),
        ("Bytes, all adapters", costs.get("adapter_bytes"), "bytes"),
    )
    return [one for one in shown if one[1] is not None]


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
