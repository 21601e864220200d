"""Who may read `/metrics`: whoever sends the token; without a token this machine alone.

The numbers name nobody, but they say how much the platform is used, and reading them takes the database some queries.
"""

import ipaddress
import secrets

from django.conf import settings
from django.http import HttpRequest, HttpResponse

# Which a proxy on this machine may add: then whoever asks is elsewhere.
_FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_REAL_IP", "HTTP_VIA")


def refusal(request: HttpRequest) -> HttpResponse | None:
    """The answer to whoever may not; None for whoever may."""
    if settings.METRICS_TOKEN:
        if _sends_token(request):
            return None
        return HttpResponse(
            "Send the token: “Authorization: Bearer …”.\n",
            status=401,
            content_type="text/plain; charset=utf-8",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if _is_of_this_machine(request):
        return None
    return HttpResponse(
        "Set LAMPPOST_METRICS_TOKEN to read the metrics from elsewhere.\n",
        status=403,
        content_type="text/plain; charset=utf-8",
    )


def _sends_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    given = token.strip().encode(errors="replace")
    return scheme.lower() == "bearer" and secrets.compare_digest(given, settings.METRICS_TOKEN.encode())


def _is_of_this_machine(request: HttpRequest) -> bool:
    """Behind TLS everything comes from a proxy, which may stand on this machine and say nothing of it."""
    if settings.HTTPS or any(name in request.META for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
