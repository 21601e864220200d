"""Addresses of the pages of this app, each under its workspace's."""

from django.urls import URLPattern, path

from eval_app.views.experiment_costs import ExperimentCostsPage
from eval_app.views.experiment_question import ExperimentQuestionPage
from eval_app.views.experiments import ExperimentsPage
from eval_app.views.people import PeoplePage
from eval_app.views.person import PersonPage
from eval_app.views.run_answers import RunAnswersPage
from eval_app.views.run_users import RunUsersPage

urlpatterns: list[URLPattern] = [
    path("experiments/", ExperimentsPage.as_view(), name="experiments"),
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
]
