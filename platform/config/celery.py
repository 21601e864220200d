"""The Celery app. Its broker carries a doorbell; the work is rows in PostgreSQL (see `jobs`)."""

import os
from typing import Any

from celery import Celery, signals
from django.conf import settings
from django.utils.log import configure_logging
from kombu.transport import virtual

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# A worker that stops, or whose broker went away, puts no bell back that it had taken: the sweep rings for what waits.
# Kombu would write those it could not put back into a file.
virtual.QoS.restore_at_shutdown = False


@signals.setup_logging.connect
def _log_as_everywhere(**_: Any) -> None:
    """In place of Celery's own handlers and formats: its lines go where ours go, in our form."""
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)


app = Celery("lamppost", set_as_current=True)
app.config_from_object("config.celery_options")
app.autodiscover_tasks(["workers"])
app.set_default()
