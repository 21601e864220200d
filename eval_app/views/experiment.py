"""One experiment: what was asked for, how far it is, and what can be done about it."""

from itertools import groupby
from operator import attrgetter
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from common.model_names import public_name, without_paths
from eval_app.experiments import ExperimentRefused, TooManyExperiments, cancel_experiment, resume_experiment
from eval_app.methods import MethodError, parse_method
from eval_app.models import DatasetSplit, Experiment
from eval_app.selectors import ColumnProgress, experiment_progress, questions_expected
from eval_app.workspace_selectors import experiment_by_id
from retrieval_app.models import Encoder
from training_app.models import BaseModel
from users_app.views.base import WorkspacePage

RESUMABLE = (Experiment.State.FAILED, Experiment.State.CANCELLED)


class _OneExperiment(WorkspacePage):
    def find(self) -> Experiment:
        """The experiment that the address names; 404 where the workspace has none of that number."""
        found = experiment_by_id(workspace=self.workspace, experiment_id=self.kwargs["experiment_id"])
        if found is None:
            raise Http404
        return found


class ExperimentPage(_OneExperiment):
    """The home of one experiment."""

    template_name = "eval_app/experiment.html"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        experiment = self.find()
        return super().get_context_data(
            experiment=experiment,
            settings=_settings(experiment),
            is_resumable=experiment.state in RESUMABLE,
            **_progress(experiment),
            **context,
        )

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Cancel it or go on with it, as `action` says."""
        experiment = self.find()
        action = request.POST.get("action")
        if action == "cancel":
            self._cancel(experiment)
        elif action == "resume":
            self._resume(experiment)
        else:
            messages.error(request, "An experiment can be cancelled or resumed, and nothing else was understood.")
        return redirect("experiment", workspace=self.workspace.slug, experiment_id=experiment.pk)

    def _cancel(self, experiment: Experiment) -> None:
        if experiment.state != Experiment.State.ACTIVE:
            messages.warning(self.request, f"It is {experiment.state} already, so there was nothing to cancel.")
            return
        cancel_experiment(experiment=experiment)
        messages.success(self.request, "Cancelled. What was answered stays, and Resume goes on from there.")

    def _resume(self, experiment: Experiment) -> None:
        if experiment.state not in RESUMABLE:
            messages.warning(self.request, f"It is {experiment.state}, so there is nothing to resume.")
            return
        try:
            resume_experiment(experiment=experiment)
        except (ExperimentRefused, TooManyExperiments) as refused:
            messages.error(self.request, f"It cannot go on. {refused}")
            return
        messages.success(self.request, "It goes on from what it has.")


class ExperimentProgressPage(_OneExperiment):
    """How far it is, as a part of its page that is asked for again and again until the experiment has ended."""

    template_name = "eval_app/experiment_progress.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        experiment = self.find()
        context = self.get_context_data(experiment=experiment, **_progress(experiment))
        response = self.render_to_response(context)
        if experiment.state != Experiment.State.ACTIVE and request.headers.get("HX-Request"):
            # The whole page says it otherwise now, and no longer asks.
            response.headers["HX-Refresh"] = "true"
        return response


def _progress(experiment: Experiment) -> dict[str, Any]:
    columns = experiment_progress(experiment=experiment)
    by_task = {task: list(own) for task, own in groupby(columns, key=attrgetter("task"))}
    return {
        "tasks": [(task, [(_title(column.method), column) for column in own]) for task, own in by_task.items()],
        "answered": sum(column.done for column in columns),
        "expected": sum(questions_expected(own) for own in by_task.values()),
        "ended": sum(column.has_ended for column in columns),
        "total": len(columns),
        "error": without_paths(experiment.error),
        "shown_failures": _failures(columns),
    }


def _failures(columns: list[ColumnProgress]) -> list[tuple[str, list[ColumnProgress]]]:
    """Each error once, with the columns that ended in it."""
    by_error: dict[str, list[ColumnProgress]] = {}
    for column in columns:
        if column.error:
            by_error.setdefault(column.error, []).append(column)
    return list(by_error.items())


def _title(key: str) -> str:
    try:
        return parse_method(key).title
    except MethodError:
        # Of a retriever that is registered no more.
        return key


def _settings(experiment: Experiment) -> list[tuple[str, Any]]:
    """What was asked for, in words."""
    stored = experiment.configuration
    versions = DatasetSplit.objects.filter(pk__in=stored["splits"].values()).order_by("task")
    base_model = BaseModel.objects.filter(pk=stored["base_model_id"]).first()
    encoder = Encoder.objects.filter(pk=stored["encoder_id"]).first() if stored["encoder_id"] else None
    named: list[tuple[str, Any]] = [
        ("Tasks", ", ".join(f"{one.task} (version {one.version})" for one in versions)),
        ("Methods", ", ".join(stored["methods"])),
        ("Controls", ", ".join(stored.get("controls", [])) or "none"),
        ("Base model", f"{base_model.public_name} at {base_model.revision[:12]}" if base_model else "–"),
        ("Encoder", f"{public_name(encoder.name)} at {encoder.revision[:12]}" if encoder else "none needed"),
        ("Users", f"the first {stored['user_limit']}" if stored["user_limit"] else "all"),
        ("Documents retrieved", stored["documents_wanted"]),
        ("Seed", stored["seed"]),
        ("Adapters stored in", stored["adapter_dtype"]),
    ]
    own = {**stored["hyperparameters"], **stored["parameters"]}
    return [*named, *((name.replace("_", " ").capitalize(), value) for name, value in sorted(own.items()))]
