"""What the API says when something is wrong: a problem document (RFC 9457) with a type that stays, and remedies.

A view or a service raises `Problem`; `common.api.handling` turns it, and everything else that is raised, into the
answer. Messages never quote what a client sent beyond names of fields: values may be a user's text.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar

CONTENT_TYPE: Final = "application/problem+json"
_TYPE: Final = "urn:lamppost:problem:"
# So many field errors say enough; a body may hold thousands.
MOST_ERRORS: Final = 100

Found = TypeVar("Found")


@dataclass(frozen=True)
class FieldError:
    """One thing that is wrong with the request, and what to do.

    `field` is a JSON pointer into the body ("/documents/3/fields/title", "" for the whole), "?name" for a query
    parameter, or a header's name.
    """

    field: str
    message: str
    remedy: str


class Problem(Exception):
    """The request cannot be answered as asked.

    `slug` names the kind of problem for programs and stays as it is; `detail` tells a person what to do about this
    one. `extra` stands in the document beside them.
    """

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        errors: Iterable[FieldError] | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.errors = list(errors or ())
        self.headers = dict(headers or {})
        self.extra = extra

    # Details hold none of the users' text, so a log may show them.
    safe_message = True

    @property
    def title(self) -> str:
        """The kind of problem in words: the same for every problem of one slug."""
        return self.slug.replace("-", " ").capitalize()

    def document(self, *, request_id: str) -> dict[str, Any]:
        """The body of the answer."""
        body: dict[str, Any] = {
            "type": _TYPE + self.slug,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = [asdict(error) for error in self.errors[:MOST_ERRORS]]
        body.update(self.extra)
        body["request_id"] = request_id
        return body


def invalid_input(*errors: FieldError) -> Problem:
    """The request can be read, but these of its parts are not as they must be."""
    shown = "One part" if len(errors) == 1 else f"{len(errors)} parts"
    if len(errors) > MOST_ERRORS:
        # Whoever looks for errors stops there.
        shown = f"More than {MOST_ERRORS} parts"
    detail = f"{shown} of the request cannot be used. See “errors” for where and what to do."
    if len(errors) > MOST_ERRORS:
        detail += f" The first {MOST_ERRORS} are listed."
    return Problem(400, "invalid-input", detail, errors=errors)


def malformed_body(detail: str) -> Problem:
    """The body is not what its content type says."""
    return Problem(400, "malformed-body", detail)


def body_too_large(limit: int) -> Problem:
    """The body holds more than `limit` bytes."""
    return Problem(413, "body-too-large", f"The body may hold {limit:,} bytes at most. Send it in smaller parts.")


def not_found() -> Problem:
    """There is no such thing in this workspace. The same for what never existed and for what is somebody else's."""
    return Problem(404, "not-found", "There is no such thing here. Check the address and the ids in it.")


def found_or_404(found: Found | None) -> Found:
    """What a selector has found; raises `not_found` where it is nothing."""
    if found is None:
        raise not_found()
    return found


def pointer(*parts: str | int) -> str:
    """The JSON pointer (RFC 6901) to a place in the body.

    >>> pointer("documents", 3, "a/b")
    '/documents/3/a~1b'
    """
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
