"""Imports: have uploaded files become a split of a dataset, by a job."""

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.problems import FieldError, Problem, found_or_404, invalid_input
from common.api.serializers import BooleanField, ChoiceField, IntegerField, Invalid, StrictSerializer, StringField
from eval_app.import_requests import request_import_of_uploads
from eval_app.importing import DatasetBeingDeleted
from eval_app.models import DatasetSplit, Separation
from eval_app.uploads import UploadUnusable, stored_sizes
from lamp.catalogue import CATALOGUE, UnknownTask, get_task
from lamp.tasks import Task
from users_app.api.base import WorkspaceView
from users_app.api.jobs import JobSerializer, job_json
from users_app.job_selectors import jobs_of_workspace
from users_app.models import Scope

_FILES = ("questions", "outputs", "truth")


class ImportBody(StrictSerializer):
    dataset = StringField(
        max_length=100, help_text="Its name: letters, digits, hyphens and underscores. Made where there is none."
    )
    split = ChoiceField(choices=DatasetSplit.Split.values)
    questions = IntegerField(min_value=1, help_text="The upload with the questions.")
    outputs = IntegerField(
        min_value=1, required=False, help_text="The upload with the right answers; without it nothing can be scored."
    )
    truth = IntegerField(
        min_value=1, required=False, help_text="Of a generated benchmark, the upload with what its oracle answers."
    )
    task = StringField(
        max_length=100, required=False, help_text="Recognised from the file where it is left out; else it is checked."
    )
    separation = ChoiceField(
        choices=Separation.values, required=False, help_text="Recognised from the file where it is left out."
    )
    keep_source = BooleanField(
        default=False, help_text="Keep the files beside the split. They go when one of the people in them is erased."
    )

    def validate_dataset(self, value: str) -> str:
        try:
            validate_slug(value)
        except ValidationError:
            raise Invalid(
                "This cannot name a dataset.", remedy="Use letters, digits, hyphens and underscores alone."
            ) from None
        return value


class ImportsView(WorkspaceView):
    """Imports of the workspace, which are jobs."""

    scopes: ClassVar = {"POST": Scope.MANAGE}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="import_dataset",
        tags=["Datasets"],
        summary="Import uploaded files as a split of a dataset",
        request=ImportBody,
        responses={
            202: OpenApiResponse(JobSerializer, "A job imports them. `Location` is its address."),
            409: OpenApiResponse(
                None,
                "An upload has not come as it was declared (`upload-incomplete`), another import reads it "
                "(`upload-in-use`), or the dataset is being deleted (`dataset-being-deleted`).",
            ),
        },
    )
    def post(self, request: Request) -> Response:
        """All of a split is stored, or nothing. The job's `result` says what was imported; where the files are not in
        order, its `error` names the file, the question, the field and what to do. The same files again change nothing,
        a changed file makes the next version of the split.

        Once the import stands the uploads are deleted; where it fails they can be imported again until they expire.
        Imports are listed by `GET /jobs?kind=import_dataset`.
        """
        body = self.body(ImportBody)
        task = _task(body.get("task"))
        uploads = {name: body[name] for name in _FILES if name in body}
        stored = stored_sizes(workspace=self.workspace, upload_ids=uploads.values())

        def create() -> dict[str, Any]:
            try:
                job = request_import_of_uploads(
                    workspace=self.workspace,
                    dataset=body["dataset"],
                    split=body["split"],
                    uploads=uploads,
                    stored=stored,
                    task=task,
                    separation=body.get("separation"),
                    keep_source=body["keep_source"],
                    by=self.actor,
                )
            except UploadUnusable as unusable:
                raise _problem(unusable) from None
            except DatasetBeingDeleted as refused:
                raise Problem(409, "dataset-being-deleted", str(refused)) from None
            return {"job_id": job.pk}

        made, _ = self.once(end_user=None, create=create)
        # None: an earlier answer to this request, whose job is gone since.
        job = found_or_404(jobs_of_workspace(workspace=self.workspace).filter(pk=made["job_id"]).first())
        return Response(job_json(job), status=202, headers={"Location": f"/api/v1/jobs/{job.pk}"})


def _task(key: str | None) -> Task | None:
    try:
        return None if key is None else get_task(key)
    except UnknownTask:
        remedy = f"Send one of: {', '.join(CATALOGUE)}."
        raise invalid_input(FieldError("/task", "Files of no such task can be imported.", remedy)) from None


def _problem(unusable: UploadUnusable) -> Problem:
    error = FieldError(f"/{unusable.place}", unusable.message, unusable.remedy)
    if not unusable.slug:
        return invalid_input(error)
    return Problem(409, unusable.slug, f"{unusable.message} {unusable.remedy}", errors=[error])
