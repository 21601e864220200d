"""Addresses of retraining policies and their sweeps, below /api/v1/."""

from django.urls import path

from training_app.api.retraining import (
    RetrainingCancellationView,
    RetrainingDueView,
    RetrainingPoliciesView,
    RetrainingPolicySweepsView,
    RetrainingPolicyView,
    RetrainingsView,
    RetrainingSweepView,
)

urlpatterns = [
    path("retraining-policies", RetrainingPoliciesView.as_view()),
    path("retraining-policies/<id:retraining_policy_id>", RetrainingPolicyView.as_view()),
    path("retraining-policies/<id:retraining_policy_id>/due", RetrainingDueView.as_view()),
    path("retraining-policies/<id:retraining_policy_id>/sweeps", RetrainingPolicySweepsView.as_view()),
    path("retraining-sweeps/<id:retraining_sweep_id>", RetrainingSweepView.as_view()),
    path("retraining-sweeps/<id:retraining_sweep_id>/retrainings", RetrainingsView.as_view()),
    path("retraining-sweeps/<id:retraining_sweep_id>/cancel", RetrainingCancellationView.as_view()),
]
