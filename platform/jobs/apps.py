"""The app's configuration."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """The job table."""

    name = "jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        """Say what readiness asks of this app."""
        from common.monitoring import readiness
        from jobs.parts import BROKER, WORKERS

        readiness.register(BROKER)
        readiness.register(WORKERS)
