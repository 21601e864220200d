"""What the log keeps of a request that failed.

Django would write the address, the exception's message and headers that cannot be read: each may quote a user's text.
"""

import logging
from typing import Final

from common.api.request_ids import request_id
from common.described import describe
from common.monitoring.requests import method_of, route_of


class WithoutUsersText(logging.Filter):
    """Puts into a record what may be kept of the request and of its exception, and the request's name."""

    def filter(self, record: logging.LogRecord) -> bool:
        # The logger and the handler both have this filter.
        if not hasattr(record, _DONE):
            setattr(record, _DONE, True)
            _rewrite(record)
        return True


_DONE: Final = "is_without_users_text"


def _rewrite(record: logging.LogRecord) -> None:
    if record.name.startswith("django.security"):
        # Of these the name says what was wrong, and the message quotes it.
        record.msg, record.args = record.name.rpartition(".")[2], ()
        return
    request = getattr(record, "request", None)
    if record.name != "django.request" or request is None:
        return
    record.request_id = request_id(request)
    text = f"{getattr(record, 'status_code', '')} {method_of(request)} {route_of(request)}".strip()
    exc = record.exc_info[1] if record.exc_info else None
    if exc is not None:
        described = describe(exc)
        text = f"{text}: {described.type}: {described.message}\n{described.trace}"
        record.exc_info = record.exc_text = None
    record.msg, record.args = text, ()
