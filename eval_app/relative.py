"""The average relative improvement of a family over no personalization (LaMP reference §7)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from eval_app.improvement import relative_gain
from eval_app.methods import NONE, Family, Method

PERSONALIZED = (Family.RAG, Family.PEFT, Family.PEFT_RAG)
"""The families whose average is reported.

What was imported is no family: nothing says that its columns belong together.
"""


@dataclass(frozen=True, slots=True)
class ValueRow:
    """A table's row as far as gains need it: the values of the columns that can be compared."""

    higher_is_better: bool
    values: Mapping[Method, float]


@dataclass(frozen=True, slots=True)
class AverageGain:
    """A family's gain in percent, and over how many rows it is the mean; None over no row."""

    percent: float | None
    rows: int


def average_relative_improvement(rows: Iterable[ValueRow]) -> dict[Family, AverageGain]:
    """The mean, over the rows, of the relative gain of each family's best column in that row.

    Families come in their order of definition, only those that have a column somewhere. A row counts for a family where
    the family and no personalization both have a value and the latter is not zero.
    """
    rows = list(rows)
    present = {method.family for row in rows for method in row.values} & set(PERSONALIZED)
    return {family: _average(rows, family) for family in PERSONALIZED if family in present}


def _average(rows: list[ValueRow], family: Family) -> AverageGain:
    gains = []
    for row in rows:
        values = [value for method, value in row.values.items() if method.family is family]
        if not values or NONE not in row.values:
            continue
        best = max(values) if row.higher_is_better else min(values)
        gain = relative_gain(best, row.values[NONE], higher_is_better=row.higher_is_better)
        if gain is not None:
            gains.append(gain)
    return AverageGain(percent=100 * sum(gains) / len(gains) if gains else None, rows=len(gains))
