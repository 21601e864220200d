"""The app's configuration."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """The job table."""

    name = "jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        """Say what backups need to know."""
        from common.backups import contributions
        from jobs.backups import CONTRIBUTION

        contributions.register(CONTRIBUTION)
