"""Addresses of uploads, imports, datasets, experiments, runs and trained models, below /api/v1/."""

from django.urls import URLPattern, path

from eval_app.api.datasets import DatasetSplitsView, DatasetsView, DatasetView
from eval_app.api.experiments import (
    ExperimentCancellationView,
    ExperimentsView,
    ExperimentTableView,
    ExperimentView,
)
from eval_app.api.imports import ImportsView
from eval_app.api.model_trainings import (
    ModelTrainingCancellationView,
    ModelTrainingResumptionView,
    ModelTrainingsView,
    ModelTrainingView,
)
from eval_app.api.predictions import ImprovementsView, PredictionsView
from eval_app.api.runs import ExperimentRunsView, RunView
from eval_app.api.trained_models import RetrainingView, TrainedModelsView, TrainedModelView, WithdrawalView
from eval_app.api.uploads import UploadsView, UploadView

urlpatterns: list[URLPattern] = [
    path("uploads", UploadsView.as_view()),
    path("uploads/<id:upload_id>", UploadView.as_view()),
    path("imports", ImportsView.as_view()),
    path("datasets", DatasetsView.as_view()),
    path("datasets/<id:dataset_id>", DatasetView.as_view()),
    path("datasets/<id:dataset_id>/splits", DatasetSplitsView.as_view()),
    path("experiments", ExperimentsView.as_view()),
    path("experiments/<id:experiment_id>", ExperimentView.as_view()),
    path("experiments/<id:experiment_id>/cancel", ExperimentCancellationView.as_view()),
    path("experiments/<id:experiment_id>/table", ExperimentTableView.as_view()),
    path("experiments/<id:experiment_id>/runs", ExperimentRunsView.as_view()),
    path("runs/<id:run_id>", RunView.as_view()),
    path("runs/<id:run_id>/predictions", PredictionsView.as_view()),
    path("runs/<id:run_id>/improvements", ImprovementsView.as_view()),
    path("model-trainings", ModelTrainingsView.as_view()),
    path("model-trainings/<id:model_training_id>", ModelTrainingView.as_view()),
    path("model-trainings/<id:model_training_id>/cancel", ModelTrainingCancellationView.as_view()),
    path("model-trainings/<id:model_training_id>/resume", ModelTrainingResumptionView.as_view()),
    path("trained-models", TrainedModelsView.as_view()),
    path("trained-models/<id:trained_model_id>", TrainedModelView.as_view()),
    path("trained-models/<id:trained_model_id>/retrain", RetrainingView.as_view()),
    path("trained-models/<id:trained_model_id>/withdraw", WithdrawalView.as_view()),
]
