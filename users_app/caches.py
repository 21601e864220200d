"""What a process remembers of people beside the database, and how it forgets those who were erased.

Each cache registers a callable that looks at what it holds and lets go of whatever has no row any more. The process
that erases calls them itself; every worker looks at the newest receipt now and then (`workers.forgetting`).
"""

from collections.abc import Callable

_forgetters: list[Callable[[], object]] = []


def register(forget: Callable[[], object]) -> None:
    """Call `forget` after every erasure. Registering it again changes nothing."""
    if forget not in _forgetters:
        _forgetters.append(forget)


def forget_gone() -> None:
    """Let every cache of this process forget what was erased. Safe to repeat, from any thread."""
    for forget in tuple(_forgetters):
        forget()
