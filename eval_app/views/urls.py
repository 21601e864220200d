"""Addresses of the pages of this app, each under its workspace's."""

from django.urls import URLPattern, path

from eval_app.views.dataset_deletion import DatasetDeletionPage
from eval_app.views.experiments import ExperimentsPage

urlpatterns: list[URLPattern] = [
    path("experiments/", ExperimentsPage.as_view(), name="experiments"),
    path("datasets/<id:dataset_id>/delete/", DatasetDeletionPage.as_view(), name="dataset-delete"),
]
