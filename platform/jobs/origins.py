"""Who hears that jobs have ended: the part before the colon of a job's origin ("run:12") names the listener.

The call comes after the commit and may be lost with the process that owed it, so a listener also registers a sweep
(`jobs.sweeps`) that finds what it missed. It may come twice: a listener looks at the jobs and is idempotent.
"""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from jobs import errors

logger = logging.getLogger(__name__)

T = TypeVar("T")
Listener = Callable[[str], None]
ListenerOfMany = Callable[[list[str]], None]
_listeners: dict[str, Listener] = {}
_listeners_of_many: dict[str, ListenerOfMany] = {}


def register(prefix: str, callback: Listener) -> None:
    """`callback(origin)` is called after jobs of an origin "<prefix>:..." have ended."""
    _keep(_listeners, prefix, callback)


def register_for_many(prefix: str, callback: ListenerOfMany) -> None:
    """`callback(origins)` is called once for all of "<prefix>:..." whose jobs have ended together, in order."""
    _keep(_listeners_of_many, prefix, callback)


def tell(origins: Iterable[str]) -> None:
    """Tell the listener of each distinct origin. One that raises is logged and keeps nothing back from the others."""
    together: dict[str, list[str]] = {}
    for origin in sorted({origin for origin in origins if origin}):
        prefix = origin.partition(":")[0]
        if prefix in _listeners:
            _call(_listeners[prefix], origin)
        elif prefix in _listeners_of_many:
            together.setdefault(prefix, []).append(origin)
    for prefix, told in together.items():
        _call(_listeners_of_many[prefix], told)


def _keep(listeners: dict[str, T], prefix: str, callback: T) -> None:
    if not prefix or ":" in prefix:
        raise ValueError("a prefix is not empty and holds no colon")
    others = {**_listeners, **_listeners_of_many}
    if others.get(prefix, callback) is not callback:
        raise ValueError(f"origin prefix {prefix} is registered twice")
    listeners[prefix] = callback


def _call(listener: Callable[[T], None], told: T) -> None:
    try:
        listener(told)
    except Exception as exc:  # noqa: BLE001 - a listener of another app must not stop the worker
        logger.error("the listener of %s failed: %s", told, errors.describe(exc).for_log())
