"""The app's settings, each with its default; a deployment overrides one by the same name in the Django settings."""

from typing import Any, Final

from django.conf import settings

_DEFAULTS: Final[dict[str, Any]] = {
    # How often beat looks for waiting work, expired leases and silent workers.
    "JOBS_SWEEP_SECONDS": 5.0,
    # How often a process extends the leases that it holds and looks whether one was cancelled.
    "JOBS_HEARTBEAT_SECONDS": 2.0,
    # Progress is written no oftener than this.
    "JOBS_PROGRESS_SECONDS": 0.5,
    # A worker that has been silent for so long does not count as alive; at three times this it is marked as lost.
    "JOBS_WORKER_SILENT_SECONDS": 15.0,
    # After a gentle stop: what ends within the grace is finished, then `check()` raises WorkerStopping ...
    "JOBS_STOP_GRACE_SECONDS": 5.0,
    # ... and a handler that never checks loses its claims to another worker.
    "JOBS_STOP_FORCE_SECONDS": 25.0,
    # The wait after the first failed attempt; it doubles with each further one, up to the bound.
    "JOBS_BACKOFF_SECONDS": 2.0,
    "JOBS_BACKOFF_MAX_SECONDS": 300.0,
    # How long a job waits that met an outage, and how old it may be for such attempts not to count.
    "JOBS_OUTAGE_SECONDS": 10.0,
    "JOBS_OUTAGE_PATIENCE_SECONDS": 86_400.0,
    # How long one bell may keep a process at one kind while other kinds of the queue wait.
    "JOBS_SLICE_SECONDS": 1.0,
    # Finished jobs are deleted after so many days, workers that ended after one.
    "JOBS_RETENTION_DAYS": 14.0,
}


def seconds(name: str) -> float:
    """The setting `name` as a number; a name this module does not know is a KeyError."""
    return float(getattr(settings, name, _DEFAULTS[name]))


def retention_days() -> float:
    """How many days a finished job is kept."""
    return float(getattr(settings, "JOBS_RETENTION_DAYS", _DEFAULTS["JOBS_RETENTION_DAYS"]))
