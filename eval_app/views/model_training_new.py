"""Where a training over many users is put together: its form, and who would take part, before it starts."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from eval_app.asked_trainings import TooManyTrainings, ask_for_training
from eval_app.model_training_selectors import COUNTED_MOST, consents, model_training_by_id
from eval_app.training_kinds import TrainingRefused
from eval_app.views.model_training_form import (
    REFUSED_AT,
    ModelTrainingForm,
    initial_of_query,
    initial_of_training,
)
from eval_app.workspace_selectors import datasets_of
from users_app.audit import actor_of_staff
from users_app.views.base import WorkspacePage


class ModelTrainingNewPage(WorkspacePage):
    """The builder of trainings. `from` in the query string is one to begin with."""

    template_name = "eval_app/model_training_new.html"
    title = "New training"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        if "form" not in context:
            context["form"] = ModelTrainingForm(workspace=self.workspace, initial=self._initial())
        return super().get_context_data(**context)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Begin the training."""
        form = ModelTrainingForm(request.POST, workspace=self.workspace)
        if not form.is_valid():
            form.ask_for_missing_models()
            return self._again(form)
        try:
            training = ask_for_training(**form.asked(), by=actor_of_staff(request))
        except TrainingRefused as refused:
            place = REFUSED_AT.get(refused.about)
            form.add_error(place if place in form.fields else None, str(refused))
        except TooManyTrainings as too_many:
            form.add_error(None, str(too_many))
        else:
            return redirect("model-training", workspace=self.workspace.slug, model_training_id=training.pk)
        return self._again(form)

    def _again(self, form: ModelTrainingForm) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form), status=422)

    def _initial(self) -> dict[str, Any]:
        number = self.request.GET.get("from", "")
        initial = initial_of_query(self.request.GET)
        if number.isascii() and number.isdecimal() and len(number) < 19:
            like = model_training_by_id(workspace=self.workspace, model_training_id=int(number))
            if like is not None:
                return {**initial_of_training(like), **initial}
        return initial


class ModelTrainingEstimatePage(WorkspacePage):
    """Who would take part in the training of the query string, as a part of the builder. Nothing is made."""

    template_name = "eval_app/model_training_estimate.html"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        name = self.request.GET.get("dataset", "").replace("\0", "")[:100]
        dataset = datasets_of(workspace=self.workspace).filter(name=name).first()
        if dataset is not None:
            tasks = self.request.GET.getlist("tasks") or None
            context["consents"] = consents(workspace=self.workspace, dataset=dataset, tasks=tasks)
            context["limit"] = _number(self.request.GET.get("users", ""))
        return super().get_context_data(dataset=dataset, counted_most=COUNTED_MOST, **context)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
