"""Why somebody is due, in words for people."""

from collections.abc import Mapping
from typing import Any


def in_words(reasons: Mapping[str, Any]) -> str:
    """`Retraining.due_for` as a person reads it.

    >>> in_words({"new": 12, "removed": 1})
    '12 new documents, 1 removed'
    """
    found = []
    if reasons.get("first"):
        found.append("no adapter yet")
    if number := reasons.get("new"):
        found.append(f"{number} new document{'' if number == 1 else 's'}")
    if number := reasons.get("removed"):
        found.append(f"{number} removed")
    if days := reasons.get("age_days"):
        found.append(f"last trained {days:g} days ago")
    if reasons.get("task_changed"):
        found.append("another version of the task")
    if reasons.get("lost"):
        found.append("the adapter was withdrawn")
    return ", ".join(found)
