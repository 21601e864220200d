"""Addresses of the pages of this app, each under its workspace's."""

from django.urls import URLPattern, path

from eval_app.views.experiments import ExperimentsPage
from eval_app.views.tables import FORMS, ComparisonProgress, ExperimentTableFile, ExperimentTablePage

urlpatterns: list[URLPattern] = [
    path("experiments/", ExperimentsPage.as_view(), name="experiments"),
    path("experiments/<id:experiment_id>/table/", ExperimentTablePage.as_view(), name="experiment-table"),
    path(
        "experiments/<id:experiment_id>/table/comparison/",
        ComparisonProgress.as_view(),
        name="experiment-table-comparison",
    ),
    *(
        path(
            f"experiments/<id:experiment_id>/table.{form}",
            ExperimentTableFile.as_view(form=form),
            name=f"experiment-table-{form}",
        )
        for form in FORMS
    ),
]
