"""What a check has found, as its page shows it: each number of a split beside what the paper says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lamp.published_statistics import PUBLISHED, MeanAndDeviation, PublishedStatistics


@dataclass(frozen=True)
class Line:
    """One row of the table: a name, what the files say, and what the paper says, empty where it says nothing."""

    name: str
    found: str
    published: str


@dataclass(frozen=True)
class ShownSplit:
    """What was found of one split."""

    split: str
    task: str
    separation: str
    complete: bool
    problems: int
    standing: Mapping[str, Any] | None
    lines: list[Line]
    ignored_fields: Mapping[str, int]
    samples: list[Mapping[str, Any]]


def shown_splits(findings: list[dict[str, Any]] | None, samples: Mapping[str, Any] | None) -> list[ShownSplit]:
    """The findings of an import's row, in their order; none before it was checked."""
    return [_shown(finding, (samples or {}).get(finding["split"], [])) for finding in findings or []]


def _shown(finding: Mapping[str, Any], samples: list[Mapping[str, Any]]) -> ShownSplit:
    told = finding["statistics"] or {}
    return ShownSplit(
        split=finding["split"],
        task=told.get("task", ""),
        separation=told.get("separation", ""),
        complete=finding["complete"],
        problems=finding["problems"],
        standing=finding["standing"],
        lines=_lines(told, finding["split"]) if told else [],
        ignored_fields=told.get("ignored_fields", {}),
        samples=samples,
    )


def _lines(told: Mapping[str, Any], split: str) -> list[Line]:
    # The paper's numbers are of the time-based split.
    paper = PUBLISHED.get(told["task"]) if told["separation"] == "time" else None
    lines = [
        Line("Questions", f"{told['questions']:,}", f"{paper.questions[split]:,}" if paper else ""),
        Line("Users", f"{told['users']:,}", ""),
        Line("Profile entries", f"{told['profile_entries']:,}", ""),
        Line("Entries a profile", _spread(told["profile_size"]), _published(paper, "profile_size")),
        Line("Words an input", _spread(told["input_words"]), _published(paper, "input_words")),
    ]
    if "golds" in told:
        lines.append(Line("Right answers", f"{told['golds']:,}", ""))
        lines.append(Line("Words an answer", _spread(told["output_words"]), _published(paper, "output_words")))
    else:
        lines.append(Line("Right answers", "none: it can be predicted, and not scored", ""))
    return lines


def _spread(told: Mapping[str, float | None]) -> str:
    if told["mean"] is None:
        return "–"
    return f"{told['mean']:,.2f} ± {told['sd']:,.2f} (from {told['min']:,} to {told['max']:,})"


def _published(paper: PublishedStatistics | None, name: str) -> str:
    told: MeanAndDeviation | None = getattr(paper, name) if paper else None
    return "" if told is None else f"{told.mean:,.2f} ± {told.sd:,.2f}"
