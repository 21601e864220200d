"""Addresses of adapters and base models, below /api/v1/."""

from django.urls import path

from training_app.api.adapters import AdapterDownloadView, AdaptersView, AdapterView
from training_app.api.base_models import BaseModelsView
from training_app.api.serving import ServingChoicesView, ServingView

urlpatterns = [
    path("adapters", AdaptersView.as_view()),
    path("adapters/<id:adapter_id>", AdapterView.as_view()),
    path("adapters/<id:adapter_id>/download", AdapterDownloadView.as_view()),
    path("base-models", BaseModelsView.as_view()),
    path("users/<external:user_id>/serving", ServingView.as_view()),
    path("users/<external:user_id>/serving-choices", ServingChoicesView.as_view()),
]
