"""Addresses of the pages of this app, each under its workspace's."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
