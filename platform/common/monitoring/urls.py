"""Addresses that say how the platform is. They stand below no prefix: whoever watches expects them there."""

from django.urls import path

from common.monitoring import views

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics, name="metrics"),
]
