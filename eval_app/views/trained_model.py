"""One selector or encoder that was trained over many users: how good it is, how it was made, training it anew,
and ending its use.
"""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from common.model_names import public_name
from eval_app.asked_trainings import TooManyTrainings, ask_for_retraining
from eval_app.loss_curves import aggregate
from eval_app.model_training_selectors import training_that_made
from eval_app.trained_results import figures_of, rounds_of, validations_of
from eval_app.training_kinds import TrainingRefused
from eval_app.views.found import or_404
from eval_app.views.model_training import in_words
from eval_app.views.models import base_model_in_words, results_of, shown_models
from retrieval_app.models import TrainedModel
from retrieval_app.retrievers import POOL_TITLES
from retrieval_app.trained_model_selectors import trained_model_by_id
from retrieval_app.withdrawal import WithdrawalRefused, withdraw_trained_model
from users_app.audit import actor_of_staff
from users_app.views.base import WorkspacePage


class TrainedModelPage(WorkspacePage):
    """Everything about it but who took part."""

    template_name = "eval_app/trained_model.html"

    def find(self) -> TrainedModel:
        """The model that the address names; 404 where the workspace sees none of that number."""
        return or_404(trained_model_by_id(workspace=self.workspace, trained_model_id=self.kwargs["trained_model_id"]))

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        model = self.find()
        self.title = f"{model.get_kind_display()} {model.pk}"
        (shown,) = shown_models(self, [model])
        return super().get_context_data(
            **shown,
            training=training_that_made(workspace=self.workspace, model=model),
            results=results_of(model),
            figures=figures_of(model.metrics),
            pool=_pool(model),
            settings=_settings(model),
            rounds=rounds_of(model.metrics),
            surroundings={**model.hardware, **model.versions},
            curve=_curve(model),
            **context,
        )

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Train it anew, or let nobody use it any more."""
        model = self.find()
        action = request.POST.get("action")
        if action == "retrain":
            return self._retrain(request, model)
        if action == "withdraw":
            self._withdraw(request, model)
        else:
            messages.error(request, "A model can be trained anew or withdrawn, and nothing else was understood.")
        return redirect("trained-model", workspace=self.workspace.slug, trained_model_id=model.pk)

    def _withdraw(self, request: HttpRequest, model: TrainedModel) -> None:
        try:
            withdraw_trained_model(workspace=self.workspace, trained_model=model, by=actor_of_staff(request))
        except WithdrawalRefused as refused:
            messages.error(request, f"It is not withdrawn. {refused}")
        except TrainedModel.DoesNotExist:
            # Deleted meanwhile.
            raise Http404 from None
        else:
            messages.success(request, "It is withdrawn: nothing uses it any more.")

    def _retrain(self, request: HttpRequest, model: TrainedModel) -> HttpResponse:
        slug = self.workspace.slug
        try:
            training = ask_for_retraining(workspace=self.workspace, trained_model=model, by=actor_of_staff(request))
        except (TrainingRefused, TooManyTrainings) as refused:
            messages.error(request, f"It is not trained anew. {refused}")
            return redirect("trained-model", workspace=slug, trained_model_id=model.pk)
        until = ", and is used until the new one is done" if model.withdrawn_at is None else ""
        messages.success(request, f"It is being trained anew{until}.")
        return redirect("model-training", workspace=slug, model_training_id=training.pk)


def _pool(model: TrainedModel) -> list[tuple[str, str]]:
    """(title, encoder or nothing) of each member."""
    return [
        (
            POOL_TITLES.get(member["retriever"], member["retriever"]),
            f"{public_name(member['encoder'])} at {member['encoder_revision'][:12]}" if member.get("encoder") else "",
        )
        for member in model.pool
    ]


def _settings(model: TrainedModel) -> list[tuple[str, Any]]:
    named: list[tuple[str, Any]] = [
        ("Base model", base_model_in_words(model.base_model)),
        *([("Begun from", base_model_in_words(model.initial_model))] if model.initial_model else []),
        ("Documents retrieved", model.documents_wanted),
        ("Seed", model.seed),
    ]
    return [*named, *((in_words(name), value) for name, value in sorted(model.hyperparameters.items()))]


def _curve(model: TrainedModel) -> dict[str, list[float]] | None:
    """What the page's script draws: the training loss by step, and each look at the dev set."""
    curve = aggregate([model.loss_curve])
    if curve is None:
        return None
    validations = validations_of(model.metrics)
    return {
        "steps": [float(step) for step in curve.steps],
        "losses": curve.mean,
        "validated": [float(step) for step, _ in validations],
        "validations": [value for _, value in validations],
    }
