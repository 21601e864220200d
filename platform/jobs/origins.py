"""Who hears that jobs have ended: the part before the colon of a job's origin ("run:12") names the listener.

The call comes after the commit and may be lost with the process that owed it, so a listener also registers a sweep
(`jobs.sweeps`) that finds what it missed. It may come twice: a listener looks at the jobs and is idempotent.
"""

import logging
from collections.abc import Callable, Iterable

from jobs import errors

logger = logging.getLogger(__name__)

Listener = Callable[[str], None]
_listeners: dict[str, Listener] = {}


def register(prefix: str, callback: Listener) -> None:
    """`callback(origin)` is called after jobs of an origin "<prefix>:..." have ended."""
    if not prefix or ":" in prefix:
        raise ValueError("a prefix is not empty and holds no colon")
    if _listeners.setdefault(prefix, callback) is not callback:
        raise ValueError(f"origin prefix {prefix} is registered twice")


def tell(origins: Iterable[str]) -> None:
    """Call the listener of each distinct origin. One that raises is logged and keeps nothing back from the others."""
    for origin in sorted({origin for origin in origins if origin}):
        listener = _listeners.get(origin.partition(":")[0])
        if listener is None:
            continue
        try:
            listener(origin)
        except Exception as exc:  # noqa: BLE001 - a listener of another app must not stop the worker
            logger.error("the listener of %s failed: %s", origin, errors.describe(exc).for_log())
