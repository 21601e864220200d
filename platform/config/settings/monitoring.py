"""How the platform is watched."""

from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import env

# How long `/readyz` waits for the parts that it asks.
READINESS_SECONDS: float = env.float("READINESS_SECONDS", default=2.0)

if not 0 < READINESS_SECONDS <= 60:
    raise ImproperlyConfigured(f"READINESS_SECONDS must be positive and at most 60: {READINESS_SECONDS}.")
