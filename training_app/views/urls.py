"""Addresses of the pages of this app, each under its workspace's."""

from django.urls import URLPattern, path

from training_app.views.played import AdapterPanel, AnswerCard, AnswersPage
from training_app.views.playground import PlaygroundPage, Retrievers, TaskFields, UsersFound

urlpatterns: list[URLPattern] = [
    path("playground/", PlaygroundPage.as_view(), name="playground"),
    path("playground/fragments/task/", TaskFields.as_view(), name="playground-task"),
    path("playground/fragments/retrievers/", Retrievers.as_view(), name="playground-retrievers"),
    path("playground/users/search/", UsersFound.as_view(), name="playground-users"),
    path("playground/<id:generation_id>/", AnswersPage.as_view(), name="playground-answers"),
    path("playground/<id:generation_id>/status/", AnswerCard.as_view(), name="playground-answer"),
    path("playground/<id:generation_id>/adapter/status/", AdapterPanel.as_view(), name="playground-adapter"),
]
