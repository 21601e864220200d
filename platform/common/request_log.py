"""What the log keeps of a page that failed: Django would write the exception's message, which may quote a text."""

import logging

from common.api.request_ids import request_id
from common.described import describe


class WithoutUsersText(logging.Filter):
    """Puts into a record, in place of its exception, what may be kept of it, and the request's name."""

    def filter(self, record: logging.LogRecord) -> bool:
        exc = record.exc_info[1] if record.exc_info else None
        if exc is not None:
            described = describe(exc)
            name = request_id(getattr(record, "request", None))
            record.msg = (
                f"request {name}: {record.getMessage()}: {described.type}: {described.message}\n{described.trace}"
            )
            record.args = ()
            record.exc_info = record.exc_text = None
        return True
