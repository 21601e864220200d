"""The app's configuration."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """The job table."""

    name = "jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        """Say what readiness and the metrics ask of this app."""
        from common.monitoring import exposition, readiness
        from jobs.measures import queues
        from jobs.parts import BROKER, WORKERS

        readiness.register(BROKER)
        readiness.register(WORKERS)
        exposition.register(queues)
