"""The Celery app. Its broker carries a doorbell; the work is rows in PostgreSQL (see `jobs`)."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("lamppost", set_as_current=True)
app.config_from_object("config.celery_options")
app.autodiscover_tasks(["workers"])
app.set_default()
