"""Addresses of the pages of this app, each under its workspace's."""

from django.urls import URLPattern, path

from eval_app.views.datasets import DatasetPage, DatasetsPage
from eval_app.views.experiments import ExperimentsPage
from eval_app.views.imports import (
    ImportPage,
    ImportProblems,
    ImportProgress,
    ImportsPage,
    ImportUpload,
    NewImportPage,
)

urlpatterns: list[URLPattern] = [
    path("experiments/", ExperimentsPage.as_view(), name="experiments"),
    path("datasets/", DatasetsPage.as_view(), name="datasets"),
    path("datasets/<id:dataset_id>/", DatasetPage.as_view(), name="dataset"),
    path("imports/", ImportsPage.as_view(), name="imports"),
    path("imports/new/", NewImportPage.as_view(), name="import-new"),
    path("imports/<id:dataset_import_id>/", ImportPage.as_view(), name="import"),
    path("imports/<id:dataset_import_id>/upload/", ImportUpload.as_view(), name="import-upload"),
    path("imports/<id:dataset_import_id>/progress/", ImportProgress.as_view(), name="import-progress"),
    path("imports/<id:dataset_import_id>/problems.csv", ImportProblems.as_view(), name="import-problems"),
]
