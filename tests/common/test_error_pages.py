"""People are answered with pages, programs with problem documents."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client, RequestFactory

from common.api import handling
from users_app.models import Membership
from users_app.services import set_role


@pytest.fixture
def viewer(client, workspace):
    user = get_user_model().objects.create_user("vera")
    set_role(workspace=workspace, user_id=user.pk, role=Membership.Role.VIEWER)
    client.force_login(user)
    return client


def is_page(answer, words):
    return words in answer.content.decode() and "default-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("address", ["/nothing/", "/w/acme/nothing/", "/w/nowhere/experiments/"])
def test_an_address_that_is_none_has_a_page_that_says_so(viewer, address):
    answer = viewer.get(address)
    assert (answer.status_code, is_page(answer, "There is no such page")) == (404, True)


def test_who_is_not_logged_in_may_from_there(client, db):
    assert "/login/" in client.get("/nothing/").content.decode()


def test_whoever_may_not_is_told_why(viewer):
    answer = viewer.post("/w/acme/playground/")
    assert (answer.status_code, is_page(answer, "Your role in this workspace does not allow that")) == (403, True)


def test_a_form_that_is_too_old_says_what_to_do(viewer):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = viewer.cookies
    answer = strict.post("/w/acme/playground/")
    assert (answer.status_code, is_page(answer, "load that page again")) == (403, True)


def test_our_fault_is_said_without_reading_anything():
    """No fixture opens the database here: a query would be an error."""
    answer = handling.server_error(RequestFactory().get("/w/acme/experiments/"))
    assert (answer.status_code, is_page(answer, "Something went wrong on the server")) == (500, True)


def test_a_host_that_is_not_ours_is_refused_with_a_page(client):
    answer = client.get("/", headers={"host": "elsewhere.example"})
    assert (answer.status_code, is_page(answer, "This request cannot be read")) == (400, True)


@pytest.mark.parametrize(
    ("handler", "told", "status"),
    [
        (handling.page_not_found, [Exception()], 404),
        (handling.permission_denied, [Exception()], 403),
        (handling.csrf_failure, [], 403),
        (handling.server_error, [], 500),
    ],
)
def test_programs_are_answered_with_a_problem_document(handler, told, status):
    answer = handler(RequestFactory().get("/api/v1/users"), *told)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
