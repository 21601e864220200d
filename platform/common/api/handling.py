"""From whatever was raised to a problem document: in the API's views, and where Django answers by itself below them."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from common import error_pages
from common.api.field_errors import field_errors
from common.api.problems import CONTENT_TYPE, Problem, invalid_input, malformed_body, not_found
from common.api.request_ids import request_id
from common.described import describe
from common.objects import ObjectStoreUnavailable

logger = logging.getLogger(__name__)

# Below these, nobody is answered with a page.
_PREFIXES: Final = ("/api/", "/v1/")


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response:
    """Django REST framework's EXCEPTION_HANDLER."""
    set_rollback()
    name = request_id(getattr(context.get("request"), "_request", None))
    problem = as_problem(exc, request_id=name)
    response = Response(
        problem.document(request_id=name), status=problem.status, headers=problem.headers, content_type=CONTENT_TYPE
    )
    # What the log says of an answer is said here; Django would add the address once more.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def as_problem(exc: Exception, *, request_id: str = "") -> Problem:
    """What `exc` means to a client. What nobody foresaw is logged without the users' text, and is a 500."""
    if isinstance(exc, Problem):
        return exc
    if isinstance(exc, exceptions.APIException):
        return _of_framework(exc)
    if isinstance(exc, Http404):
        return not_found()
    if isinstance(exc, PermissionDenied):
        return _forbidden()
    described = describe(exc)
    if isinstance(exc, (OperationalError, InterfaceError, ObjectStoreUnavailable)):
        logger.error("request %s: %s", request_id, described.for_log())
        return Problem(
            503,
            "unavailable",
            "The database or the object store does not answer. Try again.",
            headers={"Retry-After": "5"},
        )
    logger.error("request %s: %s: %s\n%s", request_id, described.type, described.message, described.trace)
    return _server_error()


def _of_framework(exc: exceptions.APIException) -> Problem:
    if isinstance(exc, exceptions.ValidationError):
        return invalid_input(*field_errors(exc.detail))
    if isinstance(exc, exceptions.ParseError):
        return malformed_body("The body cannot be read as what its Content-Type says.")
    if isinstance(exc, exceptions.NotFound):
        return not_found()
    if isinstance(exc, exceptions.MethodNotAllowed):
        return Problem(405, "method-not-allowed", "This address does not know that method. See the Allow header.")
    if isinstance(exc, exceptions.NotAcceptable):
        return Problem(406, "not-acceptable", "Only JSON is answered here. Send “Accept: application/json”.")
    if isinstance(exc, exceptions.UnsupportedMediaType):
        return Problem(
            415, "unsupported-media-type", "The body is not read as that type. Send “Content-Type: application/json”."
        )
    phrase = HTTPStatus(exc.status_code).phrase
    return Problem(exc.status_code, phrase.lower().replace(" ", "-"), f"{phrase}.")


def _forbidden() -> Problem:
    return Problem(403, "forbidden", "This is not allowed.")


def _server_error() -> Problem:
    return Problem(
        500, "server-error", "Something went wrong on the server. Try again, and tell its administrator the request_id."
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's handler400: a request that no view has seen."""
    if not _is_of_api(request):
        return error_pages.bad_request(request)
    return _answer(request, Problem(400, "bad-request", "The request cannot be read. Check its Host and its headers."))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's handler403: refused by a page, or outside a view of the API."""
    if not _is_of_api(request):
        return error_pages.not_allowed(request, exception)
    return _answer(request, _forbidden())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """Django's CSRF_FAILURE_VIEW. The API's views ask for no token: they know no sessions."""
    return _answer(request, _forbidden()) if _is_of_api(request) else error_pages.stale_form(request, reason)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's handler404: no such address."""
    return _answer(request, not_found()) if _is_of_api(request) else error_pages.no_such_page(request)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Django's handler500: an exception outside a view of the API."""
    return _answer(request, _server_error()) if _is_of_api(request) else error_pages.our_fault(request)


def _is_of_api(request: HttpRequest) -> bool:
    return request.path.startswith(_PREFIXES)


def _answer(request: HttpRequest, problem: Problem) -> HttpResponse:
    response = JsonResponse(
        problem.document(request_id=request_id(request)), status=problem.status, content_type=CONTENT_TYPE
    )
    if problem.status < 500:
        # Django would log the address, in which the clients' ids stand.
        response._has_been_logged = True  # type: ignore[attr-defined]
    return response
