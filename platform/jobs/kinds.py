"""The kinds of work, filled by each app in its `AppConfig.ready`.

A handler is named by dotted path and imported in the worker that runs it: apps never import `workers`, where the
handlers that need a model live.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from jobs.batches import Batch

Queue = Literal["cpu", "model", "training"]
QUEUES: Final[tuple[str, ...]] = get_args(Queue)
MODEL_QUEUES: Final[tuple[Queue, ...]] = ("model", "training")
"""Whose processes hold models. Training has a queue of its own, so that nobody who waits for an answer waits for it."""
Handler = Callable[["Batch"], None]


class UnknownKind(LookupError):
    """No app has registered this kind."""

    safe_message = True


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is known of all jobs of one name.

    A claim takes up to `batch_size` jobs; with `batch_by` they share the value of that payload key. While fewer wait
    than the process's last batch had, it is put off for up to `gather_seconds`. A claim that was not extended for
    `lease_seconds` is taken back.
    """

    name: str
    queue: Queue
    handler: str
    batch_size: int = 1
    gather_seconds: float = 0.0
    lease_seconds: float = 60
    max_attempts: int = 3
    batch_by: str | None = None
    # Who may cancel and retry its jobs in the admin: members of their workspace with this role, or a higher one.
    least_role: str = "researcher"

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > 100:
            raise ValueError("a kind's name has 1 to 100 characters")
        if self.queue not in QUEUES:
            raise ValueError(f"kind {self.name}: the queue is one of {', '.join(QUEUES)}")
        if self.batch_size < 1 or self.max_attempts < 1 or self.lease_seconds <= 0 or self.gather_seconds < 0:
            raise ValueError(f"kind {self.name}: batch_size and max_attempts are 1 or more, seconds are not negative")
        if "." not in self.handler:
            raise ValueError(f"kind {self.name}: the handler is a dotted path")

    def load_handler(self) -> Handler:
        """The handler itself. Raises ImportError where it cannot be found."""
        return import_string(self.handler)


_kinds: dict[str, Kind] = {}


def waited_for_together(queue: str, *, served: Sequence[str]) -> list[str]:
    """The queues whose jobs wait while one of `queue` runs, in a worker that serves these: all that hold models do.

    >>> waited_for_together("training", served=("cpu", "model", "training"))
    ['training', 'model']
    >>> waited_for_together("training", served=("training",))
    ['training']
    """
    return [queue, *(name for name in served if name != queue and {name, queue} <= set(MODEL_QUEUES))]


def register(kind: Kind) -> None:
    """Make `kind` known. The same kind again is fine, another one of the same name is a ValueError."""
    known = _kinds.setdefault(kind.name, kind)
    if known != kind:
        raise ValueError(f"kind {kind.name} is registered twice, differently")


def get(name: str) -> Kind:
    """The kind of that name. Raises UnknownKind."""
    try:
        return _kinds[name]
    except KeyError:
        raise UnknownKind(f"no app has registered the kind of job {name!r}") from None


def all_kinds(queues: Sequence[str] | None = None) -> list[Kind]:
    """Every kind, or those of `queues`, by name."""
    return sorted((k for k in _kinds.values() if queues is None or k.queue in queues), key=lambda k: k.name)
