"""Problems in the shape of OpenAI's errors: `{"error": {"message", "type", "param", "code"}}`."""

import re
from collections.abc import Mapping
from typing import Any, Final

from rest_framework.response import Response
from rest_framework.views import set_rollback

from common.api.handling import as_problem
from common.api.problems import FieldError, Problem
from common.api.request_ids import request_id

# The official client tries some errors again by itself, unless this says that it is no use.
RETRY_HEADER: Final = "x-should-retry"
_TYPES: Final = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
# Where that API has a name of its own for one of our problems.
_CODES: Final = {
    "not-authenticated": "invalid_api_key",
    "rate-limited": "rate_limit_exceeded",
    "quota-exceeded": "insufficient_quota",
}
_TYPES_OF_SLUGS: Final = {"quota-exceeded": "insufficient_quota"}


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response:
    """As `common.api.handling.exception_handler`, in the other shape. The view may name fields by `param_names`."""
    set_rollback()
    problem = as_problem(exc, request_id=request_id(getattr(context.get("request"), "_request", None)))
    names = getattr(context.get("view"), "param_names", {})
    response = Response(error_of(problem, names=names), status=problem.status, headers=dict(problem.headers))
    if not _is_worth_a_retry(problem):
        response.headers.setdefault(RETRY_HEADER, "false")
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def error_of(problem: Problem, *, names: Mapping[str, str]) -> dict[str, Any]:
    """The body that says what `problem` says. `names` are those of the client for the fields of ours."""
    first = problem.errors[0] if problem.errors else None
    param = None if first is None else _param(first.field, names)
    of_status = _TYPES.get(problem.status, "server_error" if problem.status >= 500 else "invalid_request_error")
    kind = _TYPES_OF_SLUGS.get(problem.slug, of_status)
    return {
        "error": {
            "message": " ".join(_sentence(error, names) for error in problem.errors) or problem.detail,
            "type": kind,
            "param": param,
            "code": _CODES.get(problem.slug, problem.slug.replace("-", "_")),
        }
    }


def _is_worth_a_retry(problem: Problem) -> bool:
    if problem.slug == "quota-exceeded":
        # Not within the seconds that a client waits.
        return False
    return problem.status == 429 or problem.status >= 500 or "Retry-After" in problem.headers


def _sentence(error: FieldError, names: Mapping[str, str]) -> str:
    param = _param(error.field, names)
    message, remedy = (text if text.endswith((".", "?")) else f"{text}." for text in (error.message, error.remedy))
    return f"{param}: {message} {remedy}" if param else f"{message} {remedy}"


def _param(field: str, names: Mapping[str, str]) -> str | None:
    """A JSON pointer as that API names parameters.

    >>> _param("/messages/0/content", {})
    'messages[0].content'
    """
    if not field.startswith("/"):
        return field or None
    first, *rest = (part.replace("~1", "/").replace("~0", "~") for part in field[1:].split("/"))
    return names.get(first, first) + "".join(
        f"[{part}]" if re.fullmatch("[0-9]+", part) else f".{part}" for part in rest
    )
