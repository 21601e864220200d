"""What people see where there is no page: no such address, not allowed, a form that is too old, our own faults.

Programs are answered with problem documents instead (`common.api.handling`).
"""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from common.api.request_ids import request_id
from common.page_security import secure


def bad_request(request: HttpRequest) -> HttpResponse:
    """400: a request that cannot be read. It may not even name this host, so nothing is told from it."""
    return _alone("400.html", {}, status=400)


def not_allowed(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403, with the reason where whoever refused it gave one."""
    return _framed(request, "403.html", {"reason": str(exception)}, status=403)


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403: a form without the token that it was given, because it is old or the browser keeps no cookies."""
    return _framed(request, "csrf_failure.html", {}, status=403)


def no_such_page(request: HttpRequest) -> HttpResponse:
    """404: the same for what never existed and for what one may not see."""
    return _framed(request, "404.html", {}, status=404)


def our_fault(request: HttpRequest) -> HttpResponse:
    """500. Whatever is broken may be the database, so nothing is read for it."""
    return _alone("500.html", {"request_id": request_id(request)}, status=500)


def _framed(request: HttpRequest, template: str, context: dict[str, Any], *, status: int) -> HttpResponse:
    response = render(request, template, context, status=status)
    secure(response)
    return response


def _alone(template: str, context: dict[str, Any], *, status: int) -> HttpResponse:
    response = HttpResponse(render_to_string(template, context), status=status)
    secure(response)
    return response
