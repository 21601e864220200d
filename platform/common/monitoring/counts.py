"""The counts of all processes together, in PostgreSQL, to which each adds what it has counted since it last did.

So one scrape, of any web process, tells of web processes and workers on all machines, and a number goes on growing
when the process that counted it has gone.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from django.db import connection
from prometheus_client import CollectorRegistry, Metric

from common.monitoring.counted import REGISTRY

# A sample's name, and its labels as JSON with sorted names.
Key = tuple[str, str]

# In the order of their keys, so that two processes never wait for each other in a circle.
_ADD: Final = """
    INSERT INTO common_countedsample (name, labels, value)
    SELECT name, labels, value FROM unnest(%s::text[], %s::text[], %s::float8[]) AS more (name, labels, value)
     ORDER BY name, labels
    ON CONFLICT (name, labels) DO UPDATE SET value = common_countedsample.value + EXCLUDED.value
"""


def counted_here(registry: CollectorRegistry = REGISTRY) -> dict[Key, float]:
    """What this process has counted since it began."""
    return {
        (sample.name, json.dumps(sample.labels, sort_keys=True)): sample.value
        for metric in registry.collect()
        for sample in metric.samples
    }


def add(more: Mapping[Key, float]) -> None:
    """Add these to what stands in the database."""
    keys = list(more)
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [[name for name, _ in keys], [labels for _, labels in keys], list(more.values())])


def counted_everywhere(registry: CollectorRegistry = REGISTRY) -> Iterator[Metric]:
    """Each declared measure with what stands of it in the database; what is declared no longer is left out."""
    declared = {metric.name: Metric(metric.name, metric.documentation, metric.type) for metric in registry.collect()}
    of_sample = {name + suffix: metric for name, metric in declared.items() for suffix in _SUFFIXES[metric.type]}
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, labels, value FROM common_countedsample")
        rows = cursor.fetchall()
    for name, labels, value in sorted(((name, json.loads(labels), value) for name, labels, value in rows), key=_order):
        if name in of_sample:
            of_sample[name].add_sample(name, labels, value)
    yield from declared.values()


_SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
}


def _order(row: tuple[str, dict[str, str], float]) -> tuple[list[tuple[str, str]], str, float]:
    """A histogram's samples stand together, its buckets by their bounds."""
    name, labels, _ = row
    others = sorted((key, value) for key, value in labels.items() if key != "le")
    return others, name, float(labels.get("le", 0))
