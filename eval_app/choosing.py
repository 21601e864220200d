"""A table's cells of methods that choose among retrievers: what choosing got between its bounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eval_app.selection_bounds import Bounds, MetricBounds
from lamp.tasks import Metric

NO_BEST_OF_A_QUESTION = "no single answer has a macro F1"


@dataclass(frozen=True, slots=True)
class Choosing:
    """What a method that chooses among retrievers got in a metric of what choosing can gain.

    `chosen` is how often it took each member of its pool, in the pool's order; `bounds` is None where there are none
    (`reason` says why). `p_holm` is the test against the best single member, corrected over all of the table.
    """

    chosen: Mapping[str, int]
    bounds: MetricBounds | None
    p_holm: float | None = None
    reason: str | None = None


def choosing_of(bounds: Bounds | None, metric: Metric) -> Choosing | None:
    """What a method got in `metric`; None where it does not choose among retrievers."""
    if bounds is None:
        return None
    found = bounds.metrics.get(metric.name)
    reason = bounds.reason if bounds.reason is not None or found is not None else NO_BEST_OF_A_QUESTION
    return Choosing(chosen=bounds.chosen, bounds=found, reason=reason)


def choosing_as_json(choosing: Choosing) -> dict[str, Any]:
    """As the table's JSON has it."""
    told = {"chosen": dict(choosing.chosen)}
    if choosing.bounds is None:
        return {**told, "reason": choosing.reason}
    found = choosing.bounds
    return {
        **told,
        "best_single": {"retriever": found.best, "value": found.best_value},
        "oracle": found.oracle,
        "share_of_gap": found.share,
        "p_value": found.p_value,
        "p_holm": choosing.p_holm,
    }
