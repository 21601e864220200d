"""How long requests take, by the route that answered, and a line of the log for each."""

import logging
import time
from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from common.monitoring.counted import histogram

logger = logging.getLogger(__name__)

SECONDS: Final = histogram(
    "http_request_seconds",
    "From a request's arrival to the beginning of its answer, by route, method and class of status.",
    ["route", "method", "status"],
    bounds=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Whoever watches asks every few seconds.
_UNLOGGED: Final = frozenset({"healthz", "readyz", "metrics", "static"})


class RequestMeasures:
    """Counts and logs each request by its route, which holds no id: the address itself may name a user."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        begun = time.perf_counter()
        response = self._get_response(request)
        seconds = time.perf_counter() - begun
        route, method = route_of(request), method_of(request)
        SECONDS.labels(route, method, f"{response.status_code // 100}xx").observe(seconds)
        if route not in _UNLOGGED:
            logger.info("%s %s %d in %.0f ms", method, route, response.status_code, seconds * 1000)
        return response


def route_of(request: HttpRequest) -> str:
    """The pattern of the route that answered; one name for the whole admin, for files, and for what leads nowhere."""
    match = request.resolver_match
    if match is None:
        return "static" if request.path_info.startswith(f"/{settings.STATIC_URL.strip('/')}/") else "unmatched"
    if match.route.startswith("admin/"):
        return "admin/"
    return match.route or "home"


def method_of(request: HttpRequest) -> str:
    """The method, if it is one that is known; clients may send any word."""
    return request.method if request.method in _METHODS else "OTHER"
