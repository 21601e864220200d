"""What is asked by whatever keeps the platform running: `/healthz`, `/readyz`, `/metrics`."""

import logging
import time
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from common.described import describe
from common.monitoring import access, exposition, readiness
from common.monitoring.readiness import Standing

logger = logging.getLogger(__name__)


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """Whether this process answers. It asks nobody, so that a server that is away gets no web process restarted."""
    return JsonResponse({"status": "up"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """200 where requests may be sent here, else 503; with the state of each part and how long it took to say so."""
    begun = time.monotonic()
    parts = readiness.standings()
    ready = readiness.is_ready(parts)
    body = {
        "status": "ready" if ready else "not-ready",
        "milliseconds": _milliseconds(time.monotonic() - begun),
        "parts": {part.name: _shown(part) for part in parts},
    }
    response = JsonResponse(body, status=200 if ready else 503)
    # The log tells when a part changes; Django would tell of every time that somebody asked.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """The numbers, for Prometheus."""
    refused = access.refusal(request)
    if refused is not None:
        return refused
    try:
        return HttpResponse(exposition.exposition(), content_type=exposition.CONTENT_TYPE)
    except DatabaseError as error:
        logger.error("metrics could not be read: %s", describe(error).for_log())
        response = HttpResponse("The database does not answer.\n", status=503, content_type="text/plain")
        response._has_been_logged = True  # type: ignore[attr-defined]
        return response


def _shown(part: Standing) -> dict[str, Any]:
    return {
        "state": part.state,
        "required": part.required,
        "milliseconds": _milliseconds(part.seconds),
        **part.details,
    }


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
