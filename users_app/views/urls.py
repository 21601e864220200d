"""Addresses of the pages of this app."""

from django.urls import path

from users_app.views.home import HomePage

urlpatterns = [path("", HomePage.as_view(), name="home")]
