"""The app's configuration."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """The job table."""

    name = "jobs"
    verbose_name = "Jobs"
