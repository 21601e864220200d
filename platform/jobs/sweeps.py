"""What else the sweep runs every few seconds: short, idempotent callables that find work or news that got lost."""

import logging
from collections.abc import Callable

from jobs import errors

logger = logging.getLogger(__name__)

Sweep = Callable[[], object]
_sweeps: list[Sweep] = []


def register(sweep: Sweep) -> None:
    """Run `sweep` at every sweep. Registering it again changes nothing."""
    if sweep not in _sweeps:
        _sweeps.append(sweep)


def run_all() -> None:
    """Run each in turn; one that raises is logged and does not keep the others from running."""
    for sweep in tuple(_sweeps):
        try:
            sweep()
        except Exception as exc:  # noqa: BLE001 - a sweep of another app must not stop the others
            name = f"{sweep.__module__}.{getattr(sweep, '__qualname__', repr(type(sweep)))}"
            logger.error("the sweep %s failed: %s", name, errors.describe(exc).for_log())
