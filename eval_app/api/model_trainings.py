"""Trainings of selectors and encoders over many users: begin one, look how far it is, cancel it, go on with it."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import page_schema
from common.api.problems import FieldError, Problem, found_or_404, invalid_input, pointer
from eval_app.api.model_training_answers import ModelTrainingOut, ModelTrainingSummary, training_json
from eval_app.api.model_training_bodies import ModelTrainingBody, ModelTrainingsQuery
from eval_app.asked_trainings import TooManyTrainings, ask_for_training, needs_encoder, require_turn
from eval_app.experiment_settings import search_parameters
from eval_app.model_training_selectors import model_training_by_id, model_trainings_of
from eval_app.model_trainings import cancel_training, resume_training
from eval_app.models import Dataset, ModelTraining
from eval_app.selector_runs import DEFAULT_POOL
from eval_app.training_kinds import TrainingRefused, how_to_train
from eval_app.workspace_selectors import datasets_of
from lamp.catalogue import UnknownTask, get_task
from retrieval_app.retrievers import SELECTING
from training_app.asking import asked_encoder
from training_app.base_models import asked_base_model, default_dtype
from users_app.api.base import WorkspaceView
from users_app.models import Scope

_TAGS: Final = ["Model trainings"]
# What a refusal is about, as the body calls it, and what to do.
_FIELDS: Final[Mapping[str, tuple[str, str]]] = {
    "kind": ("kind", "Send another kind."),
    "dataset": ("dataset", "Name one that GET /api/v1/datasets lists and that has train and dev splits with outputs."),
    "split": ("dataset", "Name one that has train and dev splits, or import them with POST /api/v1/imports."),
    "tasks": ("tasks", "Name tasks that GET /api/v1/datasets/{dataset_id} shows for train and dev."),
    "base_model": ("base_model", "Name one that GET /api/v1/base-models lists."),
    "pool": ("pool", "Leave that retriever out, or see to what it needs."),
    "documents_wanted": ("k", "Send another number."),
    "hyperparameters": ("hyperparameters", "Send what may be chosen, or leave it out."),
    "user_limit": ("users", "Send another number."),
}
REFUSED: Final = OpenApiResponse(
    None,
    "The workspace or its users do not let anybody learn from their data (`no-consent`), as many trainings are under "
    "way as there may be (`too-many-trainings`), the same is under way or cannot be begun (`training-refused`), or the "
    "default models are not loaded yet (`base-model-not-ready`, `encoder-not-ready`).",
)
"""The answer to what cannot be begun now."""


class ModelTrainingsView(WorkspaceView):
    """The workspace's trainings."""

    scopes: ClassVar = {"GET": Scope.READ, "POST": Scope.MANAGE}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="list_model_trainings",
        tags=_TAGS,
        summary="The workspace's trainings of selectors and encoders, the newest first",
        parameters=[ModelTrainingsQuery],
        responses=page_schema(ModelTrainingSummary, name="ModelTraining"),
    )
    def get(self, request: Request) -> Response:
        query = self.query(ModelTrainingsQuery)
        asked = {name: query[name] for name in ("state", "kind") if name in query}
        rows = model_trainings_of(workspace=self.workspace).filter(**asked)
        return self.page(rows, order=("-pk",), render=lambda row: ModelTrainingSummary(row).data, query=query)

    @extend_schema(
        operation_id="start_model_training",
        tags=_TAGS,
        summary="Have a selector or an encoder trained over the users of a dataset",
        request=ModelTrainingBody,
        responses={
            202: OpenApiResponse(ModelTrainingOut, "It is under way. `Location` is where its end will be seen."),
            409: REFUSED,
        },
    )
    def post(self, request: Request) -> Response:
        """It learns from the base model's feedback on the train split, and the best step is picked on the dev split.
        Feedback is made of ordinary runs, so what stands is used. Only users whom the workspace's policy allows take
        part (see `GET /usage`); what comes of it is used in this workspace alone.
        """
        body = self.body(ModelTrainingBody)
        pool = _pool(body)
        asked = {
            "workspace": self.workspace,
            "kind": body["kind"],
            "dataset": _dataset(self, body["dataset"]),
            "tasks": _tasks(body.get("tasks")),
            "hyperparameters": _hyperparameters(body["kind"], body.get("hyperparameters", {})),
            "base_model": asked_base_model(body.get("base_model")),
            "encoder": asked_encoder() if needs_encoder(body["kind"], pool) else None,
            "pool": pool,
            "documents_wanted": body["k"],
            "parameters": search_parameters(
                **{name: body[name] for name in ("num_beams", "max_input_tokens", "max_output_tokens", "exact")},
                dtype=default_dtype(),
            ),
            "seed": body["seed"],
            "user_limit": body.get("users"),
            "by": self.actor,
        }
        return begun(self, lambda: ask_for_training(**asked))


class ModelTrainingView(WorkspaceView):
    """One training."""

    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(
        operation_id="get_model_training",
        tags=_TAGS,
        summary="One training: what was asked, and how far it is",
        responses=ModelTrainingOut,
    )
    def get(self, request: Request, model_training_id: int) -> Response:
        return Response(training_json(training_or_404(self, model_training_id)))


class ModelTrainingCancellationView(WorkspaceView):
    """The end of a training before its end."""

    scopes: ClassVar = {"POST": Scope.MANAGE}

    @extend_schema(
        operation_id="cancel_model_training",
        tags=_TAGS,
        summary="Stop a training",
        request=None,
        responses={
            200: OpenApiResponse(ModelTrainingOut, "It is cancelled."),
            409: OpenApiResponse(None, "It has ended otherwise (`training-not-cancellable`)."),
        },
    )
    def post(self, request: Request, model_training_id: int) -> Response:
        """What was answered as its feedback stays, and nothing is recorded. Doing so again changes nothing."""
        cancel_training(training=training_or_404(self, model_training_id))
        training = training_or_404(self, model_training_id)
        if training.state != ModelTraining.State.CANCELLED:
            raise Problem(
                409,
                "training-not-cancellable",
                f"The training {training.get_state_display()} and cannot be cancelled any more.",
                state=training.state,
            )
        return Response(training_json(training))


class ModelTrainingResumptionView(WorkspaceView):
    """Going on with a training that failed or was cancelled."""

    scopes: ClassVar = {"POST": Scope.MANAGE}

    @extend_schema(
        operation_id="resume_model_training",
        tags=_TAGS,
        summary="Go on with a training that failed or was cancelled",
        request=None,
        responses={
            200: OpenApiResponse(ModelTrainingOut, "It is done already."),
            202: OpenApiResponse(ModelTrainingOut, "It is under way."),
            409: REFUSED,
        },
    )
    def post(self, request: Request, model_training_id: int) -> Response:
        """It goes on from what stands. One that is under way or done stays as it is."""
        training = training_or_404(self, model_training_id)
        try:
            if training.state in (ModelTraining.State.FAILED, ModelTraining.State.CANCELLED):
                require_turn(workspace=self.workspace)
            resume_training(training=training)
        except TooManyTrainings as too_many:
            raise _too_many(too_many) from None
        except TrainingRefused as refused:
            raise refusal_of(refused) from None
        training = training_or_404(self, model_training_id)
        status = 200 if training.state == ModelTraining.State.DONE else 202
        return Response(training_json(training), status=status)


def training_or_404(view: WorkspaceView, model_training_id: int) -> ModelTraining:
    """The workspace's training of that number; raises `Problem` 404."""
    return found_or_404(model_training_by_id(workspace=view.workspace, model_training_id=model_training_id))


def begun(view: WorkspaceView, begin: Callable[[], ModelTraining], *, of_body: bool = True) -> Response:
    """The answer to a request that begins a training, once for its idempotency key. A refusal names the field of the
    body that it is about, `of_body`.
    """

    def create() -> dict[str, Any]:
        try:
            return {"model_training_id": begin().pk}
        except TooManyTrainings as too_many:
            raise _too_many(too_many) from None
        except TrainingRefused as refused:
            if of_body and refused.about in _FIELDS:
                field, remedy = _FIELDS[refused.about]
                raise invalid_input(FieldError(f"/{field}", str(refused), remedy)) from None
            raise refusal_of(refused) from None

    made, _ = view.once(end_user=None, create=create)
    training = training_or_404(view, made["model_training_id"])
    location = f"/api/v1/model-trainings/{training.pk}"
    return Response(training_json(training), status=202, headers={"Location": location})


def refusal_of(refused: TrainingRefused) -> Problem:
    """The problem that says why nothing is begun."""
    return Problem(409, "no-consent" if refused.about == "shared_training" else "training-refused", str(refused))


def _too_many(too_many: TooManyTrainings) -> Problem:
    return Problem(409, "too-many-trainings", str(too_many))


def _pool(body: Mapping[str, Any]) -> list[str]:
    if body["kind"] in SELECTING:
        return body.get("pool", list(DEFAULT_POOL))
    if "pool" in body:
        raise invalid_input(FieldError("/pool", "An encoder chooses among nothing.", "Leave it out."))
    return []


def _dataset(view: WorkspaceView, name: str) -> Dataset:
    found = datasets_of(workspace=view.workspace).filter(name=name).first()
    if found is None:
        raise invalid_input(FieldError("/dataset", "There is no such dataset here.", _FIELDS["dataset"][1]))
    return found


def _tasks(keys: list[str] | None) -> list[str] | None:
    errors = []
    found = []
    for place, key in enumerate(keys or ()):
        try:
            found.append(get_task(key).key)
        except UnknownTask:
            errors.append(FieldError(pointer("tasks", place), "No dataset has such a task.", _FIELDS["tasks"][1]))
    if errors:
        raise invalid_input(*errors)
    return found or None


def _hyperparameters(kind: str, chosen: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        bounds = how_to_train(kind).hyperparameters
    except TrainingRefused as refused:
        raise invalid_input(FieldError("/kind", str(refused), _FIELDS["kind"][1])) from None
    errors = []
    for name, value in chosen.items():
        at = pointer("hyperparameters", name)
        if name not in bounds:
            remedy = f"Choose among {', '.join(bounds)}."
            errors.append(FieldError(at, f"This is no hyperparameter of {kind}.", remedy))
        elif (problem := bounds[name].problem_of(value)) is not None:
            errors.append(FieldError(at, f"This {problem}.", f"Send {bounds[name].described}."))
    if errors:
        raise invalid_input(*errors)
    return chosen
