"""What else the sweep runs every few seconds: short, idempotent callables that find work or news that got lost."""

import logging
import time
from collections.abc import Callable

from jobs import errors

logger = logging.getLogger(__name__)

Sweep = Callable[[], object]
# How often each runs, and when it is due by this process's clock: what has not run yet is due.
_every: dict[Sweep, float] = {}
_due_at: dict[Sweep, float] = {}


def register(sweep: Sweep, *, every_seconds: float = 0.0) -> None:
    """Run `sweep` at every sweep, or so many seconds after it ran last. Registering it again changes nothing."""
    _every.setdefault(sweep, every_seconds)


def run_all() -> None:
    """Run each that is due in turn; one that raises is logged and does not keep the others from running."""
    for sweep, every_seconds in tuple(_every.items()):
        now = time.monotonic()
        if now < _due_at.get(sweep, now):
            continue
        _due_at[sweep] = now + every_seconds
        try:
            sweep()
        except Exception as exc:  # noqa: BLE001 - a sweep of another app must not stop the others
            name = f"{sweep.__module__}.{getattr(sweep, '__qualname__', repr(type(sweep)))}"
            logger.error("the sweep %s failed: %s", name, errors.describe(exc).for_log())
