"""How many experiments clients have going."""

from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import env

# Of one workspace, under way; whoever runs the command may have more.
EXPERIMENTS_AT_ONCE: int = env.int("EXPERIMENTS_AT_ONCE", default=20)

if EXPERIMENTS_AT_ONCE < 1:
    raise ImproperlyConfigured(f"EXPERIMENTS_AT_ONCE must be positive, not {EXPERIMENTS_AT_ONCE}.")
