"""The REST API: its bounds, and how it is described."""

from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import env
from config.settings.queue import BROKER_URL

API_MAX_BODY_BYTES: int = env.int("API_MAX_BODY_BYTES", default=10 * 2**20)
# Of a body of JSON lines, which is read as it comes.
API_MAX_STREAM_BYTES: int = env.int("API_MAX_STREAM_BYTES", default=200 * 2**20)
# What a key may ask that has no limit of its own.
API_REQUESTS_PER_MINUTE: int = env.int("API_REQUESTS_PER_MINUTE", default=1200)
API_RATE_LIMIT_STORAGE: str = env.str("API_RATE_LIMIT_STORAGE", default=BROKER_URL)
# How long a repeated request with the same Idempotency-Key gets the first one's answer.
IDEMPOTENCY_RETENTION_HOURS: float = env.float("IDEMPOTENCY_RETENTION_HOURS", default=48.0)
# Event streams of one web process: each holds one of its threads.
API_EVENT_STREAMS: int = env.int("API_EVENT_STREAMS", default=16)
# One ends after so long, and clients come again: nobody holds a thread for ever.
EVENT_STREAM_SECONDS: float = env.float("EVENT_STREAM_SECONDS", default=300.0)

for _name in ("API_MAX_BODY_BYTES", "API_MAX_STREAM_BYTES", "API_REQUESTS_PER_MINUTE", "API_EVENT_STREAMS"):
    if globals()[_name] < 1:
        raise ImproperlyConfigured(f"{_name} must be positive, not {globals()[_name]}.")
if not 0 < EVENT_STREAM_SECONDS < float("inf"):
    raise ImproperlyConfigured(f"EVENT_STREAM_SECONDS must be positive: {EVENT_STREAM_SECONDS}.")
if IDEMPOTENCY_RETENTION_HOURS <= 0:
    raise ImproperlyConfigured(f"IDEMPOTENCY_RETENTION_HOURS must be positive, not {IDEMPOTENCY_RETENTION_HOURS}.")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["users_app.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["common.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "common.api.openapi.ApiSchema",
    "EXCEPTION_HANDLER": "common.api.handling.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Lamppost",
    "VERSION": "1",
    "DESCRIPTION": (
        "Personalized outputs for each user. Every address needs an API key (`Authorization: Bearer lp_…`); what "
        "belongs to another workspace answers 404, as what never existed. Problems are `application/problem+json` "
        "documents. A request with an `Idempotency-Key` has its effect once, however often it is sent."
    ),
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    # The scheme stands below; what the framework's authentication classes say is the same for every view.
    "AUTHENTICATION_WHITELIST": [],
    "SECURITY": [{"apiKey": []}],
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key of a workspace: `lp_…`."}
        }
    },
    "PREPROCESSING_HOOKS": ["common.api.openapi.only_the_api"],
    # Enums stay where they are used: one name for each would have to be kept for all apps in this place.
    "POSTPROCESSING_HOOKS": ["common.api.openapi.describe_every_answer"],
    "COMPONENT_SPLIT_REQUEST": True,
    "PATH_CONVERTER_OVERRIDES": {
        "id": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
        "external": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^/\\x00-\\x1f\\x7f-\\x9f]+$"},
    },
}
