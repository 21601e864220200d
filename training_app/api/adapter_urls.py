"""Addresses of adapters and base models, below /api/v1/."""

from django.urls import path

from training_app.api.adapters import AdapterDownloadView, AdaptersView, AdapterView
from training_app.api.base_models import BaseModelsView

urlpatterns = [
    path("adapters", AdaptersView.as_view()),
    path("adapters/<id:adapter_id>", AdapterView.as_view()),
    path("adapters/<id:adapter_id>/download", AdapterDownloadView.as_view()),
    path("base-models", BaseModelsView.as_view()),
]
