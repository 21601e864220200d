"""Logs carry ids, never a user's text."""

from config.settings.environment import env

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"without_users_text": {"()": "common.request_log.WithoutUsersText"}},
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.request": {"filters": ["without_users_text"]},
        "httpx": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},
    },
}
