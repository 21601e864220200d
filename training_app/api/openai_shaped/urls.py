"""Addresses as clients of OpenAI's API make them, below /v1/."""

from django.urls import path

from training_app.api.openai_shaped.views import (
    ChatCompletionsView,
    CompletionsView,
    ModelsView,
    ModelView,
    NothingHereView,
)

urlpatterns = [
    path("models", ModelsView.as_view()),
    # Names of the hub hold a "/".
    path("models/<path:name>", ModelView.as_view()),
    path("completions", CompletionsView.as_view()),
    path("chat/completions", ChatCompletionsView.as_view()),
    path("<path:rest>", NothingHereView.as_view()),
]
