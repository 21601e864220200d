"""Datasets: which there are, and what stands in their splits."""

from typing import ClassVar

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PageQuery, page_schema
from common.api.problems import Problem, found_or_404, not_found
from common.api.serializers import ChoiceField, StringField
from eval_app.dataset_deletion import DeletionRefused, request_deletion
from eval_app.models import Dataset, DatasetSplit, Separation
from eval_app.workspace_selectors import datasets_of, datasets_to_delete, newest_of_each_split, splits_of
from users_app.api.base import WorkspaceView
from users_app.api.jobs import JobSerializer, job_json
from users_app.job_selectors import jobs_of_workspace
from users_app.models import Scope

_TAGS = ["Datasets"]


class SplitOut(serializers.Serializer):
    """One task's train, dev or test questions at one version."""

    id = serializers.IntegerField()
    task = serializers.CharField()
    split = serializers.ChoiceField(choices=DatasetSplit.Split.values)
    version = serializers.IntegerField(help_text="A changed file makes the next one.")
    separation = serializers.ChoiceField(choices=Separation.values)
    questions = serializers.IntegerField(source="question_count")
    users = serializers.IntegerField(source="end_user_count")
    documents = serializers.IntegerField(source="document_count", help_text="Different ones, at the import.")
    profile_entries = serializers.IntegerField(source="entry_count", help_text="Of all questions' profiles together.")
    has_golds = serializers.BooleanField(help_text="Without, it can be predicted and not scored.")
    has_oracle = serializers.BooleanField(help_text="Whether it is known what one who knows each user answers.")
    has_dates = serializers.BooleanField(help_text="Without, recency cannot be used.")
    digest = serializers.CharField(help_text="Of both files.")
    questions_digest = serializers.CharField(help_text="SHA-256 of the file.")
    outputs_digest = serializers.CharField(allow_null=True, help_text="SHA-256 of the file; null without one.")
    imported_at = serializers.DateTimeField()


class DatasetSummary(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    created_at = serializers.DateTimeField()


class DatasetDetail(DatasetSummary):
    splits = SplitOut(many=True, help_text="The newest version of each, which experiments use.")


class SplitsQuery(PageQuery):
    task = StringField(max_length=100, required=False, help_text="Those of this task.")
    split = ChoiceField(choices=DatasetSplit.Split.values, required=False)


class DatasetsView(WorkspaceView):
    """The workspace's datasets."""

    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(
        operation_id="list_datasets",
        tags=_TAGS,
        summary="The workspace's datasets, the newest first",
        parameters=[PageQuery],
        responses=page_schema(DatasetSummary, name="Dataset"),
    )
    def get(self, request: Request) -> Response:
        rows = datasets_of(workspace=self.workspace)
        return self.page(rows, order=("-pk",), render=lambda row: DatasetSummary(row).data)


class DatasetView(WorkspaceView):
    """One dataset."""

    scopes: ClassVar = {"GET": Scope.READ, "DELETE": Scope.MANAGE}

    @extend_schema(
        operation_id="get_dataset",
        tags=_TAGS,
        summary="One dataset, with the newest version of each of its splits",
        responses=DatasetDetail,
    )
    def get(self, request: Request, dataset_id: int) -> Response:
        dataset = dataset_or_404(self, dataset_id)
        splits = [_split(split) for split in newest_of_each_split(dataset=dataset)]
        return Response({**DatasetSummary(dataset).data, "splits": splits})

    @extend_schema(
        operation_id="delete_dataset",
        tags=_TAGS,
        summary="Delete a dataset with all that hangs on it",
        responses={
            202: OpenApiResponse(JobSerializer, "A job deletes it. `Location` is its address."),
            409: OpenApiResponse(None, "An import or experiment of it is under way (`dataset-in-use`)."),
        },
    )
    def delete(self, request: Request, dataset_id: int) -> Response:
        """Its splits and questions go, with every experiment, run, prediction and improvement record of them, its kept
        files, and the end users whom only its imports have made, with their documents and adapters. End users of whom
        a client has put a profile entry, or asked a generation, stay.

        It is listed no more at once. Asking again is asking once; where the job has failed, it goes on.
        """
        dataset = found_or_404(datasets_to_delete(workspace=self.workspace).filter(pk=dataset_id).first())
        try:
            job = request_deletion(workspace=self.workspace, dataset=dataset, by=self.actor)
        except DeletionRefused as refused:
            raise Problem(409, "dataset-in-use", str(refused)) from None
        except Dataset.DoesNotExist:
            raise not_found() from None
        shown = found_or_404(jobs_of_workspace(workspace=self.workspace).filter(pk=job.pk).first())
        return Response(job_json(shown), status=202, headers={"Location": f"/api/v1/jobs/{job.pk}"})


class DatasetSplitsView(WorkspaceView):
    """Every version of a dataset's splits."""

    scopes: ClassVar = {"GET": Scope.READ}

    @extend_schema(
        operation_id="list_splits",
        tags=_TAGS,
        summary="Every version of a dataset's splits, the newest first",
        parameters=[SplitsQuery],
        responses=page_schema(SplitOut, name="Split"),
    )
    def get(self, request: Request, dataset_id: int) -> Response:
        dataset = dataset_or_404(self, dataset_id)
        query = self.query(SplitsQuery)
        asked = {name: query[name] for name in ("task", "split") if name in query}
        return self.page(splits_of(dataset=dataset).filter(**asked), order=("-pk",), render=_split, query=query)


def dataset_or_404(view: WorkspaceView, dataset_id: int) -> Dataset:
    """The workspace's dataset of that number; raises `Problem` 404."""
    return found_or_404(datasets_of(workspace=view.workspace).filter(pk=dataset_id).first())


def _split(split: DatasetSplit) -> dict[str, object]:
    told = SplitOut(split).data
    return {**told, "outputs_digest": told["outputs_digest"] or None}
