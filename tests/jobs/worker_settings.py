"""Settings of worker and beat processes that a test starts: the servers of the session, by its environment."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.jobs.apps.JobsInTests"]

JOBS_SWEEP_SECONDS = 0.5
JOBS_HEARTBEAT_SECONDS = 0.5
JOBS_BACKOFF_SECONDS = 0.2
JOBS_STOP_GRACE_SECONDS = 0.5
JOBS_STOP_FORCE_SECONDS = 5.0
