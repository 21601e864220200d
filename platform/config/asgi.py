"""ASGI entry point (event streams)."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_asgi_application()

from common.monitoring.publishing import publisher  # noqa: E402 (the apps must be loaded)

publisher.start()
