"""The selectors and encoders of a workspace: those that are being trained, and those that were."""

from collections.abc import Collection
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django_htmx.http import HttpResponseClientRefresh

from common.keyset_lists import keyset_page
from common.model_names import public_name
from eval_app.asked_trainings import kinds_to_train
from eval_app.model_training_selectors import (
    TrainingProgress,
    model_trainings_of,
    retrainings_under_way,
    training_progress,
    with_inputs_on_record,
)
from eval_app.model_trainings import OPEN
from eval_app.models import ModelTraining
from eval_app.trained_results import DevResult, dev_results, mean_of
from retrieval_app.models import TrainedModel
from retrieval_app.trained_model_selectors import trained_models_of
from users_app.views.base import WorkspacePage

_ROWS: Final = 25
_UNKNOWN: Final = TrainingProgress()


class ModelsPage(WorkspacePage):
    """All of them, the newest first; trainings of one state where the query string says so."""

    template_name = "eval_app/models.html"
    title = "Models"

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        page = keyset_page(
            trained_models_of(workspace=self.workspace),
            order=("-pk",),
            query=self.request.GET,
            bound_to=f"trained models {self.workspace.pk}",
            parameter="models-after",
            size=_ROWS,
        )
        return super().get_context_data(
            **trainings_shown(self),
            models_page=page,
            models=shown_models(self, page.rows),
            states=ModelTraining.State.values,
            kinds=kinds_to_train(),
            policy=self.workspace.shared_training,
            **context,
        )


class ModelsProgressPage(WorkspacePage):
    """How far the trainings are, as a part of their page that is asked for again and again while any is under way."""

    template_name = "eval_app/model_trainings.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not getattr(request, "htmx", False):
            return redirect("models", workspace=self.workspace.slug)
        shown = trainings_shown(self)
        if shown["under_way"] != request.GET.get("under_way", ""):
            # One has ended, or another has begun: the rest of the page says it, too.
            return HttpResponseClientRefresh()
        return self.render_to_response(self.get_context_data(**shown))


def trainings_shown(view: WorkspacePage) -> dict[str, Any]:
    """What the list of the trainings needs: a page of them, and which of these are under way, as text."""
    query = view.request.GET.copy()
    # The part of the page is asked for with this besides.
    query.pop("under_way", None)
    state = query.get("state", "")
    trainings = model_trainings_of(workspace=view.workspace)
    if state in ModelTraining.State.values:
        trainings = trainings.filter(state=state)
    page = keyset_page(
        trainings, order=("-pk",), query=query, bound_to=f"model trainings {view.workspace.pk}", size=_ROWS
    )
    progress = training_progress(trainings=page.rows)
    return {
        "page": page,
        "trainings": [(one, progress.get(one.pk, _UNKNOWN)) for one in page.rows],
        "under_way": ",".join(str(one.pk) for one in page.rows if one.state in OPEN),
        "state": state,
        "query": query.urlencode(),
    }


def shown_models(view: WorkspacePage, models: Collection[TrainedModel]) -> list[dict[str, Any]]:
    """Each model with what came of it on dev, and whether it can be, or is being, trained anew."""
    own = [one for one in models if one.workspace_id is not None]
    anew = retrainings_under_way(workspace=view.workspace, models=own)
    on_record = with_inputs_on_record(workspace=view.workspace, models=own)
    return [
        {
            "model": one,
            "base_model": base_model_in_words(one.base_model),
            "result": mean_of(results_of(one)),
            "retraining": anew.get(one.pk),
            "can_retrain": one.pk in on_record,
        }
        for one in models
    ]


def results_of(model: TrainedModel) -> list[DevResult]:
    """What came of it on the dev split, by task."""
    return dev_results(model.metrics, pool=[member["retriever"] for member in model.pool])


def base_model_in_words(named: str) -> str:
    """ "NAME@REVISION" as people read it.

    >>> base_model_in_words("/srv/models/small@0123456789abcdef")
    'small at 0123456789ab'
    """
    name, _, revision = named.rpartition("@")
    return f"{public_name(name)} at {revision[:12]}"
