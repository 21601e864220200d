"""Which apps make up the project."""

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "django_celery_beat",
    "common",
    "jobs",
    "users_app",
    "retrieval_app",
    "training_app",
    "eval_app",
    "workers",
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
