"""What a workspace may have that has no limits of its own. None: as much as there is room for."""

from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import env

QUOTA_DOCUMENTS: int | None = env.int("QUOTA_DOCUMENTS", default=None)
QUOTA_ADAPTERS: int | None = env.int("QUOTA_ADAPTERS", default=None)
# Of documents' fields as PostgreSQL writes them, and of adapters' files.
QUOTA_BYTES: int | None = env.int("QUOTA_BYTES", default=None)
# By the day in UTC.
QUOTA_GENERATIONS_A_DAY: int | None = env.int("QUOTA_GENERATIONS_A_DAY", default=None)

for _name in ("QUOTA_DOCUMENTS", "QUOTA_ADAPTERS", "QUOTA_BYTES", "QUOTA_GENERATIONS_A_DAY"):
    if (globals()[_name] or 0) < 0:
        raise ImproperlyConfigured(f"{_name} must not be negative: {globals()[_name]}.")
