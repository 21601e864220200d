"""The app's configuration."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """The job table."""

    name = "jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        """Say what readiness, the metrics and backups ask of this app."""
        from common.backups import contributions
        from common.monitoring import exposition, readiness
        from jobs.backups import CONTRIBUTION
        from jobs.measures import queues
        from jobs.parts import BROKER, WORKERS

        readiness.register(BROKER)
        readiness.register(WORKERS)
        exposition.register(queues)
        contributions.register(CONTRIBUTION)
