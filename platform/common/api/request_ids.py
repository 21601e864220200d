"""A name for each request, which its answer, its problem document and the log share."""

import re
import uuid
from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponseBase

from common.logs import context

HEADER: Final = "X-Request-Id"
_GIVEN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


def request_id(request: HttpRequest | None) -> str:
    """The name of `request`; empty for one that never passed the middleware."""
    return str(getattr(request, "request_id", ""))


class RequestIdMiddleware:
    """Takes the client's `X-Request-Id` where it is 1 to 64 of `A-Za-z0-9._-`, else makes one; sends it back."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get(HEADER, "")
        name = given if _GIVEN.match(given) else uuid.uuid4().hex
        request.request_id = name  # type: ignore[attr-defined]
        with context.binding(request_id=name):
            response = self._get_response(request)
        response.headers[HEADER] = name
        return response
