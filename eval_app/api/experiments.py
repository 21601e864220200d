"""Experiments: start one or go on with it, look how far it is, cancel it, read its table."""

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import parse_etags
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import page_schema
from common.api.problems import FieldError, Problem, found_or_404, invalid_input, pointer
from eval_app.api.experiment_answers import ExperimentOut, ExperimentSummary, rendered
from eval_app.api.experiment_bodies import ExperimentBody, ExperimentsQuery, TableQuery
from eval_app.experiment_settings import needs_encoder, search_parameters
from eval_app.experiments import (
    ExperimentRefused,
    OtherSettings,
    TooManyExperiments,
    cancel_experiment,
    require_turn,
    start_experiment,
)
from eval_app.exporting import table_text
from eval_app.methods import Method, MethodError, allowed_methods, read_methods
from eval_app.models import Dataset, Experiment
from eval_app.workspace_selectors import datasets_of, experiments_of
from lamp.catalogue import UnknownTask, get_task
from training_app.asking import asked_encoder
from training_app.base_models import asked_base_model, default_dtype
from training_app.hyperparameters import complete_hyperparameters
from users_app.api.base import WorkspaceView
from users_app.models import Scope

_TAGS = ["Experiments"]
_REMEDIES = {
    "dataset": "Name one that GET /api/v1/datasets lists.",
    "split": "Import that split with POST /api/v1/imports, or name one that GET /api/v1/datasets/{dataset_id} shows.",
    "tasks": "Name tasks that GET /api/v1/datasets/{dataset_id} shows for this split.",
    "methods": "Leave the method out, or import files that it can run on.",
}


class ExperimentsView(WorkspaceView):
    """The workspace's experiments."""

    scopes: ClassVar = {"GET": Scope.READ, "POST": Scope.MANAGE}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="list_experiments",
        tags=_TAGS,
        summary="The workspace's experiments, the newest first",
        parameters=[ExperimentsQuery],
        responses=page_schema(ExperimentSummary, name="Experiment"),
    )
    def get(self, request: Request) -> Response:
        query = self.query(ExperimentsQuery)
        asked = {name: query[name] for name in ("state", "name") if name in query}
        rows = experiments_of(workspace=self.workspace).filter(**asked)
        return self.page(rows, order=("-pk",), render=lambda row: ExperimentSummary(row).data, query=query)

    @extend_schema(
        operation_id="start_experiment",
        tags=_TAGS,
        summary="Compare methods on a dataset",
        request=ExperimentBody,
        responses={
            200: OpenApiResponse(ExperimentOut, "The same stands already, and is done."),
            202: OpenApiResponse(ExperimentOut, "It is under way. `Location` is where its end will be seen."),
            409: OpenApiResponse(
                None,
                "The name stands for other settings (`experiment-exists`), as many are under way as there may be "
                "(`too-many-experiments`), or the default models are not loaded yet (`base-model-not-ready`, "
                "`encoder-not-ready`).",
            ),
        },
    )
    def post(self, request: Request) -> Response:
        """The same name with the same settings goes on with the experiment, if it failed or was cancelled, and else
        changes nothing. Runs that another experiment has made are used, not made again.
        """
        body = self.body(ExperimentBody)
        methods = _methods(body["methods"])
        settings = {
            "name": body["name"],
            "dataset": _dataset(self, body["dataset"]),
            "split": body["split"],
            "tasks": _tasks(body.get("tasks")),
            "methods": methods,
            "controls": body["controls"],
            "base_model": asked_base_model(body.get("base_model")),
            "encoder": asked_encoder() if needs_encoder(methods, split=body["split"]) else None,
            **_numbers(body),
        }

        def create() -> dict[str, Any]:
            try:
                require_turn(workspace=self.workspace, name=body["name"])
                experiment = start_experiment(workspace=self.workspace, versions=None, hardware=None, **settings)
            except OtherSettings as other:
                raise Problem(409, "experiment-exists", str(other), differing=other.differing) from None
            except TooManyExperiments as too_many:
                raise Problem(
                    409, "too-many-experiments", f"{too_many} Wait for one of them to end, or cancel it."
                ) from None
            except ExperimentRefused as refused:
                raise invalid_input(FieldError(f"/{refused.about}", str(refused), _REMEDIES[refused.about])) from None
            return {"experiment_id": experiment.pk}

        made, _ = self.once(end_user=None, create=create)
        experiment = experiment_or_404(self, made["experiment_id"])
        location = f"/api/v1/experiments/{experiment.pk}"
        status = 202 if experiment.state == Experiment.State.ACTIVE else 200
        return Response(rendered(experiment), status=status, headers={"Location": location})


class ExperimentView(WorkspaceView):
    """One experiment."""

    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(
        operation_id="get_experiment",
        tags=_TAGS,
        summary="One experiment: what was asked, and how far each column is",
        responses=ExperimentOut,
    )
    def get(self, request: Request, experiment_id: int) -> Response:
        return Response(rendered(experiment_or_404(self, experiment_id)))


class ExperimentCancellationView(WorkspaceView):
    """The end of an experiment before its end."""

    scopes: ClassVar = {"POST": Scope.MANAGE}

    @extend_schema(
        operation_id="cancel_experiment",
        tags=_TAGS,
        summary="Stop an experiment",
        request=None,
        responses={
            200: OpenApiResponse(ExperimentOut, "It is cancelled."),
            409: OpenApiResponse(None, "It has ended otherwise (`experiment-not-cancellable`)."),
        },
    )
    def post(self, request: Request, experiment_id: int) -> Response:
        """Runs that another experiment needs go on, and what was answered stays. Doing so again changes nothing."""
        experiment = experiment_or_404(self, experiment_id)
        if experiment.state == Experiment.State.ACTIVE:
            cancel_experiment(experiment=experiment)
            experiment = experiment_or_404(self, experiment_id)
        if experiment.state != Experiment.State.CANCELLED:
            raise Problem(
                409,
                "experiment-not-cancellable",
                f"The experiment is {experiment.state} and cannot be cancelled any more.",
                state=experiment.state,
            )
        return Response(rendered(experiment))


class _Csv(JSONRenderer):
    """Lets the view accept `Accept: text/csv`, and others below their types. Problems are documents as everywhere."""

    media_type, format = "text/csv", "csv"


class _Markdown(JSONRenderer):
    media_type, format = "text/markdown", "markdown"


class _Latex(JSONRenderer):
    media_type, format = "application/x-latex", "latex"


_MEDIA_TYPES: Mapping[str, str] = {one.format: one.media_type for one in (JSONRenderer, _Csv, _Markdown, _Latex)}


class ExperimentTableView(WorkspaceView):
    """The comparison table."""

    scopes: ClassVar = {"GET": Scope.READ}
    renderer_classes = [JSONRenderer, _Csv, _Markdown, _Latex]

    @extend_schema(
        operation_id="get_table",
        tags=_TAGS,
        summary="An experiment's comparison table, as JSON, CSV, Markdown or LaTeX",
        parameters=[
            TableQuery,
            OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="An `ETag` that is known."),
        ],
        responses={
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "text/markdown"): OpenApiTypes.STR,
            (200, "application/x-latex"): OpenApiTypes.STR,
            304: OpenApiResponse(None, "It is as known."),
            409: OpenApiResponse(None, "The experiment has not ended (`experiment-not-done`)."),
        },
    )
    def get(self, request: Request, experiment_id: int) -> HttpResponseBase:
        """Tasks and metrics in rows, methods in columns, as the guide describes it. Of an experiment that failed or was
        cancelled there is a table too, in a moment, if any run was done: it says of each column why there is nothing.
        """
        experiment = experiment_or_404(self, experiment_id)
        query = self.query(TableQuery)
        form = query.get("format") or str(getattr(request.accepted_renderer, "format", "json"))
        if experiment.state == Experiment.State.ACTIVE or experiment.report is None:
            raise Problem(
                409,
                "experiment-not-done",
                f"The experiment is {experiment.state}, and there is no table. "
                + (
                    "GET /api/v1/experiments/{experiment_id} says how far it is."
                    if experiment.state == Experiment.State.ACTIVE
                    else "Ask for the same with POST /api/v1/experiments to go on with it."
                ),
                state=experiment.state,
            )
        text = table_text(experiment=experiment, form=form, reference=query["reference"]).encode()
        headers = {"ETag": f'"{hashlib.sha256(form.encode() + text).hexdigest()[:32]}"', "Vary": "Accept"}
        if _is_known(request, headers["ETag"]):
            return Response(status=304, headers=headers)
        return HttpResponse(text, content_type=f"{_MEDIA_TYPES[form]}; charset=utf-8", headers=headers)


def experiment_or_404(view: WorkspaceView, experiment_id: int) -> Experiment:
    """The workspace's experiment of that number; raises `Problem` 404."""
    return found_or_404(experiments_of(workspace=view.workspace).filter(pk=experiment_id).first())


def _is_known(request: Request, etag: str) -> bool:
    """Whether `If-None-Match` names it, by the weak comparison."""
    tags = parse_etags(request.headers.get("If-None-Match", ""))
    return "*" in tags or etag in {tag.removeprefix("W/") for tag in tags}


def _methods(tokens: list[str]) -> list[Method]:
    try:
        return read_methods(tokens)
    except MethodError as error:
        message = f"This {error.problem}."
        raise invalid_input(
            FieldError(pointer("methods", error.place), message, f"Send of these: {allowed_methods()}.")
        ) from None


def _dataset(view: WorkspaceView, name: str) -> Dataset:
    found = datasets_of(workspace=view.workspace).filter(name=name).first()
    if found is None:
        remedy = "Send a name that GET /api/v1/datasets lists, or import it first with POST /api/v1/imports."
        raise invalid_input(FieldError("/dataset", "There is no such dataset here.", remedy))
    return found


def _tasks(keys: list[str] | None) -> list[str] | None:
    errors = []
    found = []
    for place, key in enumerate(keys or ()):
        try:
            found.append(get_task(key).key)
        except UnknownTask:
            errors.append(FieldError(pointer("tasks", place), "No dataset has such a task.", _REMEDIES["tasks"]))
    if errors:
        raise invalid_input(*errors)
    return found or None


def _numbers(body: Mapping[str, Any]) -> dict[str, Any]:
    """What `start_experiment` wants to know besides names."""
    limits = {name: body[name] for name in ("max_input_tokens", "max_output_tokens")}
    hyperparameters = complete_hyperparameters({**body.get("hyperparameters", {}), **limits})
    # It is part of the method.
    del hyperparameters["rank"]
    return {
        "documents_wanted": body["k"],
        "hyperparameters": hyperparameters,
        "parameters": search_parameters(
            num_beams=body["num_beams"], **limits, exact=body["exact"], dtype=default_dtype()
        ),
        "seed": body["seed"],
        "user_limit": body.get("users"),
        "reference": body["reference"],
    }
