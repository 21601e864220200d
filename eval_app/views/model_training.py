"""One training over many users: what was asked for, how far it is, and what can be done about it."""

from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django_htmx.http import HttpResponseClientRefresh

from common.model_names import public_name, without_paths
from eval_app.asked_trainings import TooManyTrainings, require_turn
from eval_app.model_training_selectors import (
    TrainingProgress,
    is_unserved,
    model_training_by_id,
    training_progress,
)
from eval_app.model_trainings import OPEN, cancel_training, resume_training
from eval_app.models import Experiment, ModelTraining
from eval_app.training_kinds import TrainingRefused
from eval_app.views.found import or_404
from eval_app.workspace_selectors import ColumnCounts, column_counts
from retrieval_app.retrievers import POOL_TITLES
from users_app.views.base import WorkspacePage

RESUMABLE: Final = (ModelTraining.State.FAILED, ModelTraining.State.CANCELLED)


class _OneTraining(WorkspacePage):
    def find(self) -> ModelTraining:
        """The training that the address names; 404 where the workspace has none of that number."""
        return or_404(
            model_training_by_id(workspace=self.workspace, model_training_id=self.kwargs["model_training_id"])
        )


class ModelTrainingPage(_OneTraining):
    """The home of one training."""

    template_name = "eval_app/model_training.html"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        training = self.find()
        self.title = f"Training {training.pk}"
        return super().get_context_data(
            training=training,
            error=without_paths(training.error),
            settings=_settings(training),
            is_resumable=training.state in RESUMABLE,
            **progress_of(training),
            **context,
        )

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Cancel it or go on with it, as `action` says."""
        training = self.find()
        action = request.POST.get("action")
        if action == "cancel":
            self._cancel(training)
        elif action == "resume":
            self._resume(training)
        else:
            messages.error(request, "A training can be cancelled or resumed, and nothing else was understood.")
        return redirect("model-training", workspace=self.workspace.slug, model_training_id=training.pk)

    def _cancel(self, training: ModelTraining) -> None:
        if training.state not in OPEN:
            messages.warning(self.request, f"It {training.get_state_display()} already: there was nothing to cancel.")
            return
        cancel_training(training=training)
        messages.success(self.request, "Cancelled. Its feedback stays, and Resume goes on from there.")

    def _resume(self, training: ModelTraining) -> None:
        if training.state not in RESUMABLE:
            messages.warning(self.request, f"It {training.get_state_display()}: there is nothing to resume.")
            return
        try:
            require_turn(workspace=self.workspace)
            resume_training(training=training)
        except (TrainingRefused, TooManyTrainings) as refused:
            messages.error(self.request, f"It cannot go on. {refused}")
            return
        messages.success(self.request, "It goes on from what it has.")


class ModelTrainingProgressPage(_OneTraining):
    """How far it is, as a part of its page that is asked for again and again until it has ended."""

    template_name = "eval_app/model_training_progress.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        training = self.find()
        if not getattr(request, "htmx", False):
            return redirect("model-training", workspace=self.workspace.slug, model_training_id=training.pk)
        if training.state != request.GET.get("state"):
            return HttpResponseClientRefresh()
        return self.render_to_response(self.get_context_data(training=training, **progress_of(training)))


def progress_of(training: ModelTraining) -> dict[str, Any]:
    """What the template of the progress needs to know."""
    progress = training_progress(trainings=[training]).get(training.pk)
    experiments = [one for one in (training.train_experiment, training.dev_experiment) if one is not None]
    counts = column_counts(experiments=experiments) if experiments else {}
    shown: list[tuple[Experiment, ColumnCounts]] = [
        (one, counts.get(one.pk, ColumnCounts(0, 0, 0))) for one in experiments
    ]
    return {
        "is_open": training.state in OPEN,
        "progress": progress or TrainingProgress(),
        "experiments": shown,
        "nobody_works": progress is not None and is_unserved(progress),
    }


def _settings(training: ModelTraining) -> list[tuple[str, Any]]:
    """What was asked for, in words."""
    pool = [POOL_TITLES.get(member["retriever"], member["retriever"]) for member in training.pool]
    encoder = training.encoder
    named: list[tuple[str, Any]] = [
        ("Tasks", ", ".join(training.tasks)),
        ("Base model", f"{training.base_model.public_name} at {training.base_model.revision[:12]}"),
        ("Pool", ", ".join(pool) or "none: it is an encoder"),
        (
            "Encoder of dense retrieval",
            f"{encoder.public_name} at {encoder.revision[:12]}" if encoder else "not needed",
        ),
        ("Begins from", public_name(training.initial_model)),
        ("Users", f"the first {training.user_limit} of each split" if training.user_limit else "all"),
        ("Documents retrieved", training.documents_wanted),
        ("Seed", training.seed),
    ]
    own = {**training.hyperparameters, **training.parameters}
    return [*named, *((in_words(name), value) for name, value in sorted(own.items()))]


def in_words(name: str) -> str:
    """A setting's name as people read it.

    >>> in_words("learning_rate")
    'Learning rate'
    """
    return name.replace("_", " ").capitalize()
