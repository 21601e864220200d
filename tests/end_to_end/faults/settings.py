"""Settings of the processes whose servers break: what takes minutes in production takes seconds here."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.jobs.apps.JobsInTests", "tests.end_to_end.faults.apps.Faults"]

JOBS_SWEEP_SECONDS = 0.5
JOBS_HEARTBEAT_SECONDS = 0.5
JOBS_BACKOFF_SECONDS = 0.5
JOBS_OUTAGE_SECONDS = 2.0
JOBS_STOP_GRACE_SECONDS = 1.0
JOBS_STOP_FORCE_SECONDS = 15.0

DEFAULT_BASE_MODEL = DEFAULT_ENCODER = "small"
CHECKPOINT_SECONDS = 1.0
TRAINING_SLOTS = 4
