"""How many experiments and trainings clients have going."""

from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import env

# Of one workspace, under way; whoever runs the command may have more.
EXPERIMENTS_AT_ONCE: int = env.int("EXPERIMENTS_AT_ONCE", default=20)

if EXPERIMENTS_AT_ONCE < 1:
    raise ImproperlyConfigured(f"EXPERIMENTS_AT_ONCE must be positive, not {EXPERIMENTS_AT_ONCE}.")

# Likewise, of selectors and encoders that are trained over many users.
MODEL_TRAININGS_AT_ONCE: int = env.int("MODEL_TRAININGS_AT_ONCE", default=5)

if MODEL_TRAININGS_AT_ONCE < 1:
    raise ImproperlyConfigured(f"MODEL_TRAININGS_AT_ONCE must be positive, not {MODEL_TRAININGS_AT_ONCE}.")

# Optimizer steps of one of those, since a worker that all workspaces share makes them.
MODEL_TRAINING_STEPS: int = env.int("MODEL_TRAINING_STEPS", default=20_000)

if MODEL_TRAINING_STEPS < 1:
    raise ImproperlyConfigured(f"MODEL_TRAINING_STEPS must be positive, not {MODEL_TRAINING_STEPS}.")
