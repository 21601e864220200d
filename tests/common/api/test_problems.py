"""Problem documents, and what becomes of each exception."""

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions

from common.api.handling import as_problem
from common.api.problems import MOST_ERRORS, FieldError, Problem, invalid_input, pointer
from common.objects import ObjectStoreUnavailable


def test_a_document_says_what_and_where_and_what_to_do():
    problem = invalid_input(FieldError("/task", "There is no such task.", "Send one of GET /tasks."))
    assert problem.document(request_id="r1") == {
        "type": "urn:lamppost:problem:invalid-input",
        "title": "Invalid input",
        "status": 400,
        "detail": "One part of the request cannot be used. See “errors” for where and what to do.",
        "errors": [{"field": "/task", "message": "There is no such task.", "remedy": "Send one of GET /tasks."}],
        "request_id": "r1",
    }


def test_members_of_its_own_stand_beside_them():
    assert Problem(409, "no-adapter", "Train one.", adapters=0).document(request_id="")["adapters"] == 0


def test_errors_are_listed_up_to_a_number():
    document = invalid_input(*[FieldError("/x", "m", "r")] * 5_000).document(request_id="")
    assert len(document["errors"]) == MOST_ERRORS
    assert "More than 100 parts" in document["detail"]


def test_pointers_escape_what_separates_them():
    assert pointer("a/b", 0, "c~d") == "/a~1b/0/c~0d"


@pytest.mark.parametrize(
    ("exc", "status", "slug"),
    [
        (Http404(), 404, "not-found"),
        (PermissionDenied(), 403, "forbidden"),
        (exceptions.NotFound(), 404, "not-found"),
        (exceptions.ParseError(), 400, "malformed-body"),
        (exceptions.ValidationError({"a": ["wrong"]}), 400, "invalid-input"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method-not-allowed"),
        (exceptions.UnsupportedMediaType("x/y"), 415, "unsupported-media-type"),
        (exceptions.Throttled(), 429, "too-many-requests"),
        (ObjectStoreUnavailable("away"), 503, "unavailable"),
        (RecursionError(), 500, "server-error"),
    ],
)
def test_each_exception_has_its_problem(exc, status, slug):
    problem = as_problem(exc)
    assert (problem.status, problem.slug) == (status, slug)
    assert problem.detail.endswith(".")


def test_an_address_that_is_none_is_not_logged(client, caplog):
    assert client.get("/api/v1/users/alice/nothing").status_code == 404
    assert "alice" not in caplog.text
