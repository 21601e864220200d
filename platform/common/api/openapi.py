"""How the API is described: what stands at every address is added here, so that no view says it again."""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from common.api import idempotency, request_ids
from common.api.problems import CONTENT_TYPE

_ADDRESS: Final = "/api/"
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ALWAYS: Final = {
    "400": "The request cannot be read or used; `errors` says where and what to do.",
    "401": "No API key, or one that is not accepted.",
    "403": "The key lacks the scope.",
    "404": "There is no such thing in this workspace.",
    "406": "Only JSON is answered.",
    "429": "Too many requests; see `Retry-After`.",
    "503": "The database or the object store does not answer; see `Retry-After`.",
}
_WITH_BODY: Final = {"413": "The body is too large.", "415": "The body is of a type that is not read."}
_WITH_KEY: Final = {"422": "The `Idempotency-Key` was used for another request."}
_HEADERS: Final = {
    request_ids.HEADER: {"description": "Names the request, in the log too.", "schema": {"type": "string"}},
    "RateLimit-Limit": {"description": "Requests a minute.", "schema": {"type": "integer"}},
    "RateLimit-Remaining": {"description": "Requests left.", "schema": {"type": "integer"}},
    "RateLimit-Reset": {"description": "Seconds until there are more.", "schema": {"type": "integer"}},
}
_PROBLEM: Final = {
    "type": "object",
    "description": "What is wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "description": "`urn:lamppost:problem:` and a name that stays."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What to do about it."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message", "remedy"],
                "properties": {
                    "field": {
                        "type": "string",
                        "description": "A JSON pointer into the body, `?name` of a query parameter, or a header.",
                    },
                    "message": {"type": "string"},
                    "remedy": {"type": "string"},
                },
            },
        },
        "request_id": {"type": "string"},
    },
}


class ApiSchema(AutoSchema):
    """Adds to an operation what its view's class says: the scope, and the `Idempotency-Key` of what makes something.

    A view that calls `once` for a method names it in `idempotent_methods`.
    """

    def get_override_parameters(self) -> list[Any]:
        found = list(super().get_override_parameters())
        if self.method in getattr(self.view, "idempotent_methods", ()):
            found.append(
                OpenApiParameter(
                    idempotency.HEADER,
                    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
                    OpenApiParameter.HEADER,
                    description="Sent again with the same request, it gets the same answer and has no second effect.",
                )
            )
        return found

    def get_operation_id(self) -> str:
        """By the view's name, which is unique: `JobsView` gives `get_jobs`."""
        name = type(self.view).__name__.removesuffix("View")
        return f"{self.method.lower()}_{_WORD.sub('_', name).lower()}"

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        scope = getattr(self.view, "scopes", {}).get(self.method)
        if operation is not None and scope is not None:
            said = operation.get("description", "")
            operation["description"] = f"{said}\n\nScope: `{scope}`.".lstrip()
        return operation


def only_the_api(endpoints: list[tuple[Any, ...]], **_: Any) -> list[tuple[Any, ...]]:
    """Leave out of the description what is not ours to describe there."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith(_ADDRESS)]


def describe_every_answer(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the problems that every operation may answer with, and the headers of every answer."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    components["headers"] = _HEADERS
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}
    for operation in _operations(result):
        problems = dict(_ALWAYS)
        if "requestBody" in operation:
            problems |= _WITH_BODY
        if any(parameter.get("name") == idempotency.HEADER for parameter in operation.get("parameters", ())):
            problems |= _WITH_KEY
        responses = operation["responses"]
        for status, description in problems.items():
            responses.setdefault(status, {"description": description})
        for status, response in responses.items():
            if status >= "400":
                response["content"] = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
            response.setdefault("headers", {}).update(headers)
        operation["responses"] = dict(sorted(responses.items()))
    return result


def _operations(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path in result["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict) and "responses" in operation:
                yield operation


@functools.cache
def document() -> bytes:
    """The API's description as JSON. It is the same for everyone for as long as the process lives."""
    return json.dumps(SchemaGenerator().get_schema(request=None, public=True), ensure_ascii=False).encode()
