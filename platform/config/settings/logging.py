"""Logs carry ids, never a user's text."""

from django.core.exceptions import ImproperlyConfigured

from common.logs.formats import CONSOLE, JSON
from config.settings.environment import env

# "console": lines for people; "json": one JSON object a line, for programs.
LOG_FORMAT: str = env.str("LOG_FORMAT", default=CONSOLE)

if LOG_FORMAT not in (CONSOLE, JSON):
    raise ImproperlyConfigured(f"LOG_FORMAT must be {CONSOLE} or {JSON}.")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"without_users_text": {"()": "common.logs.without_users_text.WithoutUsersText"}},
    "formatters": {"line": {"()": "common.logs.formats.formatter", "name": LOG_FORMAT}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["without_users_text"]},
    },
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        # Other handlers get no more of these either.
        "django.request": {"filters": ["without_users_text"]},
        # They would quote the statements, and the values in them.
        "django.db.backends": {"level": "INFO"},
        "httpx": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},
    },
}
