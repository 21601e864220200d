"""What the process is at work on: ids that every line of the log carries until it is done. Knows nothing of Django."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

Value = int | str | list[int]

NAMES: Final = ("request_id", "workspace_id", "job_id", "job_ids", "kind")
"""All that may stand in a line. None of them names an end user."""

_bound: ContextVar[Mapping[str, Value] | None] = ContextVar("log_context", default=None)


def bound() -> Mapping[str, Value]:
    """What is bound here and now."""
    return _bound.get() or {}


def bind(**ids: Value | None) -> None:
    """Bind these too, until the `binding` around it ends; None unbinds. A name that is not in `NAMES` is a ValueError.

    Outside a `binding` nothing would ever end it, so nothing is bound there.
    """
    if unknown := set(ids) - set(NAMES):
        raise ValueError(f"the log has no place for {sorted(unknown)}")
    before = _bound.get()
    if before is not None:
        _bound.set({name: value for name, value in {**before, **ids}.items() if value is not None})


@contextmanager
def binding(**ids: Value | None) -> Iterator[None]:
    """Bind these for the block, and end what was bound within it."""
    token = _bound.set(bound())
    try:
        bind(**ids)
        yield
    finally:
        _bound.reset(token)
