"""Where an experiment is put together: its form, and what it would take, before it starts."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from eval_app.experiment_estimates import ExperimentEstimate, estimate_experiment
from eval_app.experiment_plans import Asked, ExperimentPlan, plan_experiment
from eval_app.experiments import ExperimentRefused, TooManyExperiments, require_turn, start_experiment
from eval_app.measured_costs import measured_runs
from eval_app.models import Experiment
from eval_app.views.experiment_form import (
    REFUSED_AT,
    ExperimentForm,
    initial_of_experiment,
    initial_of_query,
    names,
)
from eval_app.workspace_selectors import experiment_by_id, experiments_of
from lamp.catalogue import UnknownTask
from training_app.adapters import stored_dtype_of
from training_app.base_models import request_default_models
from users_app.views.base import WorkspacePage

_ENCODER_MISSING = (
    "The encoder that dense retrieval needs has not been loaded yet: a model worker does that when one is running. "
    "Try again in some seconds, or use BM25 or recency."
)


class ExperimentNewPage(WorkspacePage):
    """The builder of experiments. `from` in the query string is one to begin with."""

    template_name = "eval_app/experiment_new.html"
    title = "New experiment"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        if "form" not in context:
            context["form"] = ExperimentForm(workspace=self.workspace, initial=self._initial())
        return super().get_context_data(**context)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Start an experiment for each seed, all of them or none."""
        form = ExperimentForm(request.POST, workspace=self.workspace)
        if not form.is_valid():
            form.ask_for_missing_models()
            return self._again(form)
        if form.needs_encoder() and form.asked(seed=0).encoder is None:
            request_default_models()
            form.add_error("retrievers", _ENCODER_MISSING)
            return self._again(form)
        try:
            started = _start(form)
        except ExperimentRefused as refused:
            form.add_error(REFUSED_AT[refused.about], str(refused))
        except UnknownTask as unknown:
            form.add_error("tasks", str(unknown))
        except TooManyExperiments as too_many:
            form.add_error(None, f"{too_many} Wait for one of them to end, or cancel it.")
        else:
            slug = self.workspace.slug
            if len(started) > 1:
                messages.success(request, f"{len(started)} experiments are started, one for each seed.")
                return redirect("experiments", workspace=slug)
            return redirect("experiment", workspace=slug, experiment_id=started[0].pk)
        return self._again(form)

    def _again(self, form: ExperimentForm) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form), status=422)

    def _initial(self) -> dict[str, Any]:
        number = self.request.GET.get("from", "")
        initial = initial_of_query(self.request.GET)
        if number.isascii() and number.isdecimal() and len(number) < 19:
            like = experiment_by_id(workspace=self.workspace, experiment_id=int(number))
            if like is not None:
                return {**initial_of_experiment(like), **initial}
        return initial


class ExperimentEstimatePage(WorkspacePage):
    """What the experiment of the query string would take, as a part of the builder. Nothing is made."""

    template_name = "eval_app/experiment_estimate.html"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        form = ExperimentForm(self.request.GET, workspace=self.workspace)
        form.fields["name"].required = False
        if form.is_valid():
            try:
                context |= self._estimated(form)
            except (ExperimentRefused, UnknownTask) as refused:
                context["problems"] = [str(refused)]
        else:
            context["problems"] = [
                f"{form[name].label if name in form.fields else 'Form'}: {error}"
                for name, errors in form.errors.items()
                for error in errors
            ]
        return super().get_context_data(**context)

    def _estimated(self, form: ExperimentForm) -> dict[str, Any]:
        seeds: list[int] = form.cleaned_data["seeds"]
        asked = form.asked(seed=seeds[0])
        plan = plan_experiment(asked)
        wanted = names(form.cleaned_data["name"], seeds)
        standing = experiments_of(workspace=self.workspace).filter(name__in=wanted).values_list("name", flat=True)
        return {
            "plan": plan,
            "estimate": _estimate(asked, plan),
            "seeds": seeds,
            "columns": len(plan.columns) - len(plan.refused),
            "names_standing": list(standing),
            "encoder_missing": form.needs_encoder() and asked.encoder is None,
        }


def _estimate(asked: Asked, plan: ExperimentPlan) -> ExperimentEstimate:
    splits = {column.split.task: column.split for column in plan.columns}
    return estimate_experiment(
        plan,
        measured=measured_runs(workspace=asked.workspace, base_model=asked.base_model),
        base_model=asked.base_model.name,
        hyperparameters=asked.hyperparameters,
        parameters=asked.parameters,
        adapter_dtype=stored_dtype_of(exact=asked.parameters["exact"]),
        profile_sizes={
            task: split.entry_count / split.question_count if split.question_count else 0.0
            for task, split in splits.items()
        },
    )


@transaction.atomic
def _start(form: ExperimentForm) -> list[Experiment]:
    seeds: list[int] = form.cleaned_data["seeds"]
    started = []
    for seed, name in zip(seeds, names(form.cleaned_data["name"], seeds), strict=True):
        asked = form.asked(seed=seed)
        require_turn(workspace=asked.workspace, name=name)
        started.append(
            start_experiment(
                **{field: getattr(asked, field) for field in asked.__dataclass_fields__},
                name=name,
                reference=form.cleaned_data["reference"],
                versions=None,
                hardware=None,
            )
        )
    return started
