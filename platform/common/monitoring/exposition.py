"""What `/metrics` tells: the counts of all processes, what the database says in this moment, and which parts are up.

What is read in the moment is registered by the app that knows it, as a function that yields measures. Each takes a few
queries whose cost has a bound, and labels with names of ours (see `counted`).
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from django.db import connection, transaction
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from common.monitoring import counts, readiness
from common.monitoring.counted import PREFIX
from common.monitoring.readiness import Standing
from common.version import VERSION

# The form that every Prometheus reads.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# All queries of one scrape take no longer than this each.
QUERY_SECONDS: Final = 3

Reader = Callable[[], Iterable[Metric]]
_readers: list[Reader] = []


def register(reader: Reader) -> None:
    """Ask `reader` at every scrape. Registering it again changes nothing."""
    if reader not in _readers:
        _readers.append(reader)


def gauge(name: str, documentation: str, labels: Iterable[str] = ()) -> GaugeMetricFamily:
    """A number that rises and falls, to which its reader adds what it has found."""
    return GaugeMetricFamily(PREFIX + name, documentation, labels=list(labels))


def exposition() -> bytes:
    """All of it in Prometheus' text form. Without the database: which parts are up, and no more."""
    standings = readiness.standings()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Moment(standings))
    return generate_latest(registry)


class _Moment(Collector):
    def __init__(self, standings: list[Standing]) -> None:
        self._metrics = list(_of_parts(standings))
        if all(part.is_up for part in standings if part.name == "database"):
            self._metrics += _of_database()

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def _of_parts(standings: list[Standing]) -> Iterator[Metric]:
    build = gauge("build_info", "1; the label says which version this is.", ["version"])
    build.add_metric([VERSION], 1)
    yield build
    up = gauge("part_up", "Whether a part answers and lacks nothing, as /readyz sees it.", ["part"])
    seconds = gauge("part_seconds", "How long the part took to say so, in seconds.", ["part"])
    for part in standings:
        up.add_metric([part.name], float(part.is_up))
        seconds.add_metric([part.name], part.seconds)
    yield up
    yield seconds


def _of_database() -> list[Metric]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{QUERY_SECONDS}s"])
        return [*counts.counted_everywhere(), *(metric for reader in _readers for metric in reader())]
