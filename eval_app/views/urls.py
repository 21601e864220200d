"""Addresses of the pages of this app, each under its workspace's."""

from django.urls import URLPattern, path

from eval_app.views.dataset_deletion import DatasetDeletionPage
from eval_app.views.datasets import DatasetPage, DatasetsPage
from eval_app.views.experiment import ExperimentPage, ExperimentProgressPage
from eval_app.views.experiment_costs import ExperimentCostsPage
from eval_app.views.experiment_new import ExperimentEstimatePage, ExperimentNewPage
from eval_app.views.experiment_question import ExperimentQuestionPage
from eval_app.views.experiments import ExperimentsPage
from eval_app.views.figures import FORMS as PICTURES
from eval_app.views.figures import Figure1File, Figure1Page
from eval_app.views.imports import (
    ImportPage,
    ImportProblems,
    ImportProgress,
    ImportsPage,
    ImportUpload,
    NewImportPage,
)
from eval_app.views.model_training import ModelTrainingPage, ModelTrainingProgressPage
from eval_app.views.model_training_new import ModelTrainingEstimatePage, ModelTrainingNewPage
from eval_app.views.models import ModelsPage, ModelsProgressPage
from eval_app.views.people import PeoplePage
from eval_app.views.person import PersonPage
from eval_app.views.run import RunPage
from eval_app.views.run_answers import RunAnswersPage
from eval_app.views.run_compare import RunComparePage
from eval_app.views.run_users import RunUsersPage
from eval_app.views.tables import FORMS, ComparisonProgress, ExperimentTableFile, ExperimentTablePage
from eval_app.views.trained_model import TrainedModelPage

urlpatterns: list[URLPattern] = [
    path("experiments/", ExperimentsPage.as_view(), name="experiments"),
    path("experiments/new/", ExperimentNewPage.as_view(), name="experiment-new"),
    path("experiments/new/estimate/", ExperimentEstimatePage.as_view(), name="experiment-estimate"),
    path("experiments/<id:experiment_id>/", ExperimentPage.as_view(), name="experiment"),
    path("experiments/<id:experiment_id>/progress/", ExperimentProgressPage.as_view(), name="experiment-progress"),
    path("runs/<id:run_id>/", RunPage.as_view(), name="run"),
    path("runs/<id:run_id>/compare/", RunComparePage.as_view(), name="run-compare"),
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
    path("experiments/<id:experiment_id>/figure-1/", Figure1Page.as_view(), name="experiment-figure-1"),
    *(
        path(
            f"experiments/<id:experiment_id>/figure-1.{form}",
            Figure1File.as_view(form=form),
            name=f"experiment-figure-1-{form}",
        )
        for form in PICTURES
    ),
    path("datasets/", DatasetsPage.as_view(), name="datasets"),
    path("datasets/<id:dataset_id>/", DatasetPage.as_view(), name="dataset"),
    path("imports/", ImportsPage.as_view(), name="imports"),
    path("imports/new/", NewImportPage.as_view(), name="import-new"),
    path("imports/<id:dataset_import_id>/", ImportPage.as_view(), name="import"),
    path("imports/<id:dataset_import_id>/upload/", ImportUpload.as_view(), name="import-upload"),
    path("imports/<id:dataset_import_id>/progress/", ImportProgress.as_view(), name="import-progress"),
    path("imports/<id:dataset_import_id>/problems.csv", ImportProblems.as_view(), name="import-problems"),
    path("experiments/<id:experiment_id>/costs/", ExperimentCostsPage.as_view(), name="experiment-costs"),
    path(
        "experiments/<id:experiment_id>/questions/<id:question_id>/",
        ExperimentQuestionPage.as_view(),
        name="experiment-question",
    ),
    path("runs/<id:run_id>/users/", RunUsersPage.as_view(), name="run-users"),
    path("runs/<id:run_id>/answers/", RunAnswersPage.as_view(), name="run-answers"),
    path("people/", PeoplePage.as_view(), name="people"),
    path("people/<id:end_user_id>/", PersonPage.as_view(), name="person"),
    path("datasets/<id:dataset_id>/delete/", DatasetDeletionPage.as_view(), name="dataset-delete"),
    path("models/", ModelsPage.as_view(), name="models"),
    path("models/progress/", ModelsProgressPage.as_view(), name="models-progress"),
    path("models/<id:trained_model_id>/", TrainedModelPage.as_view(), name="trained-model"),
    path("models/trainings/new/", ModelTrainingNewPage.as_view(), name="model-training-new"),
    path("models/trainings/new/estimate/", ModelTrainingEstimatePage.as_view(), name="model-training-estimate"),
    path("models/trainings/<id:model_training_id>/", ModelTrainingPage.as_view(), name="model-training"),
    path(
        "models/trainings/<id:model_training_id>/progress/",
        ModelTrainingProgressPage.as_view(),
        name="model-training-progress",
    ),
]
