"""The API's description for programs and people. It needs no key, and nothing from elsewhere: no CDN is asked."""

import hashlib

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import condition, require_safe

from common.api import openapi


def _etag(request: HttpRequest) -> str:
    return f'"{hashlib.sha256(openapi.document()).hexdigest()[:32]}"'


@require_safe
@condition(etag_func=_etag)
def openapi_json(request: HttpRequest) -> HttpResponse:
    """The OpenAPI document."""
    return HttpResponse(openapi.document(), content_type="application/json")


@require_safe
def documentation(request: HttpRequest) -> HttpResponse:
    """Swagger UI, from our own static files."""
    return render(request, "api/documentation.html")
