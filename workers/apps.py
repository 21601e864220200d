"""The app of what runs in workers. It imports neither torch nor anything that does: the web image loads it too."""

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    """Celery tasks, handlers and the commands that need a model."""

    name = "workers"

    def ready(self) -> None:
        """Follow the life of a Celery worker or beat."""
        from workers import lifecycle

        lifecycle.connect()
