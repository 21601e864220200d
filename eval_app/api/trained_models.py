"""Selectors and encoders that were trained over many users: which there are, how good they are, training one anew, and
ending its use.
"""

from typing import ClassVar, Final

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import page_schema
from common.api.problems import Problem, found_or_404, not_found
from eval_app.api.model_training_answers import ModelTrainingOut, TrainedModelDetail, TrainedModelSummary
from eval_app.api.model_training_bodies import TrainedModelsQuery
from eval_app.api.model_trainings import REFUSED, begun
from eval_app.asked_trainings import ask_for_retraining
from retrieval_app.models import TrainedModel
from retrieval_app.trained_model_selectors import in_state, trained_model_by_id, trained_models_of
from retrieval_app.withdrawal import WithdrawalRefused, withdraw_trained_model
from users_app.api.base import WorkspaceView
from users_app.models import Scope

_TAGS: Final = ["Trained models"]


class TrainedModelsView(WorkspaceView):
    """What the workspace can choose and retrieve with."""

    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(
        operation_id="list_trained_models",
        tags=_TAGS,
        summary="Selectors and encoders of the workspace and those that came with Lamppost, the newest first",
        parameters=[TrainedModelsQuery],
        responses=page_schema(TrainedModelSummary, name="TrainedModel"),
    )
    def get(self, request: Request) -> Response:
        query = self.query(TrainedModelsQuery)
        rows = trained_models_of(workspace=self.workspace)
        if "kind" in query:
            rows = rows.filter(kind=query["kind"])
        if "task" in query:
            rows = rows.filter(tasks__contains=[query["task"]])
        if "state" in query:
            rows = in_state(rows, query["state"])
        return self.page(rows, order=("-pk",), render=lambda row: TrainedModelSummary(row).data, query=query)


class TrainedModelView(WorkspaceView):
    """One of them."""

    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(
        operation_id="get_trained_model",
        tags=_TAGS,
        summary="One trained model, and how it was made",
        responses=TrainedModelDetail,
    )
    def get(self, request: Request, trained_model_id: int) -> Response:
        return Response(TrainedModelDetail(trained_model_or_404(self, trained_model_id)).data)


class RetrainingView(WorkspaceView):
    """Training it anew."""

    scopes: ClassVar = {"POST": Scope.MANAGE}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="retrain_model",
        tags=_TAGS,
        summary="Train a model anew, without whoever was erased or no longer agrees",
        request=None,
        responses={
            202: OpenApiResponse(ModelTrainingOut, "It is under way. `Location` is where its end will be seen."),
            409: REFUSED,
        },
    )
    def post(self, request: Request, trained_model_id: int) -> Response:
        """With the inputs that made it. It is used until the new one is done, and withdrawn then."""
        model = trained_model_or_404(self, trained_model_id)

        return begun(
            self,
            lambda: ask_for_retraining(workspace=self.workspace, trained_model=model, by=self.actor),
            of_body=False,
        )


class WithdrawalView(WorkspaceView):
    """Ending its use."""

    scopes: ClassVar = {"POST": Scope.MANAGE}

    @extend_schema(
        operation_id="withdraw_trained_model",
        tags=_TAGS,
        summary="Let nobody use a model any more",
        request=None,
        responses={
            200: TrainedModelDetail,
            409: OpenApiResponse(None, "It came with Lamppost and serves every workspace (`withdrawal-refused`)."),
        },
    )
    def post(self, request: Request, trained_model_id: int) -> Response:
        """From now on. What is under way with it ends refused; its files are deleted later. It is not undone: training
        it anew makes another. Asking again changes nothing.
        """
        model = trained_model_or_404(self, trained_model_id)
        try:
            withdraw_trained_model(workspace=self.workspace, trained_model=model, by=self.actor)
        except WithdrawalRefused as refused:
            raise Problem(409, "withdrawal-refused", str(refused)) from None
        except TrainedModel.DoesNotExist:
            # Deleted meanwhile.
            raise not_found() from None
        return Response(TrainedModelDetail(trained_model_or_404(self, model.pk)).data)


def trained_model_or_404(view: WorkspaceView, trained_model_id: int) -> TrainedModel:
    """The model of that number that the workspace sees; raises `Problem` 404."""
    return found_or_404(trained_model_by_id(workspace=view.workspace, trained_model_id=trained_model_id))
