"""Addresses of the pages of this app."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from users_app.views.home import HomePage
from users_app.views.login import LoginPage, PasswordPage

urlpatterns = [
    path("", HomePage.as_view(), name="home"),
    path("login/", LoginPage.as_view(), name="login"),
    path("password/", PasswordPage.as_view(), name="password"),
    path("logout/", LogoutView.as_view(next_page="login"), name="logout"),
]
