"""How a record is written: as a line for people, or as a line of JSON.

Knows nothing of Django: gunicorn uses it too.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from common.described import describe
from common.logs import context

MAX_MESSAGE: Final = 8_000

CONSOLE: Final = "console"
JSON: Final = "json"


def ids_of(record: logging.LogRecord) -> dict[str, Any]:
    """The ids that belong to `record`: its own, and else what the process is at work on."""
    known = context.bound()
    found = {name: getattr(record, name, known.get(name)) for name in context.NAMES}
    return {name: value for name, value in found.items() if value not in (None, "", [])}


class ForPeople(logging.Formatter):
    """`2026-03-01 12:00:00,123 INFO jobs.batches message [request_id=… job_id=…]`."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {name} {message}", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, with the ids behind it."""
        line = super().formatMessage(record)
        ids = " ".join(f"{name}={_short(value)}" for name, value in ids_of(record).items())
        return f"{line} [{ids}]" if ids else line

    def formatException(self, ei: Any) -> str:
        """What may be kept of the exception: Python would write its message, which may quote a user's text."""
        described = describe(ei[1])
        return f"{described.type}: {described.message}\n{described.trace}"


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, process, the ids, and the error if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:MAX_MESSAGE],
            "process": record.process,
            **ids_of(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            described = describe(record.exc_info[1])
            line["error"] = {"type": described.type, "message": described.message, "trace": described.trace}
        return json.dumps(line)


def formatter(name: str) -> logging.Formatter:
    """The formatter by the name of its form."""
    return JsonLines() if name == JSON else ForPeople()


def _short(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
