"""Addresses of adapters, base models, retraining, generations and previews, below /api/v1/."""

from django.urls import URLPattern, URLResolver, include, path

from training_app.api.generations import (
    GenerationBatchView,
    GenerationEventsView,
    GenerationFeedbackView,
    GenerationsView,
    GenerationView,
)
from training_app.api.previews import PreviewsView, PreviewView

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("training_app.api.adapter_urls")),
    path("", include("training_app.api.retraining_urls")),
    path("generations", GenerationsView.as_view()),
    path("generations/batch", GenerationBatchView.as_view()),
    path("generations/<id:generation_id>", GenerationView.as_view()),
    path("generations/<id:generation_id>/events", GenerationEventsView.as_view()),
    path("generations/<id:generation_id>/feedback", GenerationFeedbackView.as_view()),
    path("previews", PreviewsView.as_view()),
    path("previews/<id:preview_id>", PreviewView.as_view()),
]
