"""How the platform is watched."""

from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import env

# How long `/readyz` waits for the parts that it asks.
READINESS_SECONDS: float = env.float("READINESS_SECONDS", default=2.0)
# Whoever sends it may read `/metrics`; without one this machine alone, and nobody behind TLS.
METRICS_TOKEN: str = env.str("LAMPPOST_METRICS_TOKEN", default="")
# How often each process adds what it has counted to what the database holds.
METRICS_PUBLISH_SECONDS: float = env.float("METRICS_PUBLISH_SECONDS", default=5.0)

if METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    raise ImproperlyConfigured("LAMPPOST_METRICS_TOKEN must have 16 characters or more.")
if not 0 < METRICS_PUBLISH_SECONDS <= 60:
    raise ImproperlyConfigured(f"METRICS_PUBLISH_SECONDS must be positive and at most 60: {METRICS_PUBLISH_SECONDS}.")
if not 0 < READINESS_SECONDS <= 60:
    raise ImproperlyConfigured(f"READINESS_SECONDS must be positive and at most 60: {READINESS_SECONDS}.")
