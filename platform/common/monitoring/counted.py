"""What each process counts: requests, jobs, tokens, times. Apps declare their measures here, and count with them.

Labels are names of ours, of which there are few: never a user's text, and no id of a user, a workspace or a document.
Whoever changes a histogram's bounds gives it another name: what was counted by the old ones stays in the database.
"""

from collections.abc import Sequence
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram

PREFIX: Final = "lamppost_"

# When a series was made says when its process began, of which there are many here.
prometheus_client.disable_created_metrics()

REGISTRY: Final = CollectorRegistry()
"""All counted measures of this process."""


def counter(name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
    """A number that only grows; its samples are called `lamppost_NAME_total`."""
    return Counter(PREFIX + name, documentation, labels, registry=REGISTRY)


def histogram(name: str, documentation: str, labels: Sequence[str] = (), *, bounds: Sequence[float]) -> Histogram:
    """Observations by size, below each of `bounds` (seconds)."""
    return Histogram(PREFIX + name, documentation, labels, buckets=tuple(bounds), registry=REGISTRY)
