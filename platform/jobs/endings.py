"""Who records that a job has ended, in the very transaction that ends it: a recorder a kind, filled by the apps.

For what must follow an end exactly if the end stands. It is a statement or two: it holds up whoever ends the job, and
what it raises undoes the end too (the attempt is then made again, or its lease runs out). For everything else there
are `jobs.origins`, which are told after the commit.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from jobs.models import FINISHED


@dataclass(frozen=True)
class Ended:
    """A job whose attempt ended, and the state it now has: a finished one, or "waiting" for the next attempt."""

    id: int
    kind: str
    origin: str
    state: str
    workspace_id: int | None


Recorder = Callable[[list[Ended]], object]
_recorders: dict[str, Recorder] = {}


def register(kind_name: str, recorder: Recorder) -> None:
    """Call `recorder(ended)` for jobs of this kind. The same again is fine, another one is a ValueError."""
    if _recorders.setdefault(kind_name, recorder) != recorder:
        raise ValueError(f"two recorders for the ends of {kind_name}")


def record(ended: Iterable[Ended]) -> None:
    """Tell the recorders of those that are finished now. Runs in the transaction that ends them."""
    together: dict[Recorder, list[Ended]] = {}
    for job in ended:
        if job.kind in _recorders and job.state in FINISHED:
            together.setdefault(_recorders[job.kind], []).append(job)
    for recorder, jobs in together.items():
        recorder(jobs)
