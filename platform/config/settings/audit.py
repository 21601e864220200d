"""How long it is kept who exported, erased, imported, and made or revoked keys."""

from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import env

# Entries are deleted so long after they were made; 0 keeps them.
AUDIT_RETENTION_DAYS: float = env.float("AUDIT_RETENTION_DAYS", default=0.0)

if not 0 <= AUDIT_RETENTION_DAYS < float("inf"):
    raise ImproperlyConfigured(f"AUDIT_RETENTION_DAYS must not be negative: {AUDIT_RETENTION_DAYS}.")
