"""What the log keeps of a page that failed."""

import logging

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from users_app.models import Membership
from users_app.services import set_role


@pytest.fixture
def failing(monkeypatch, workspace):
    """A member whose playground chokes on a user's text."""

    def choke(**_):
        raise ValueError("rain on my roses")

    monkeypatch.setattr("training_app.views.playground.tasks_of", choke)
    user = get_user_model().objects.create_user("rita")
    set_role(workspace=workspace, user_id=user.pk, role=Membership.Role.VIEWER)
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def test_the_log_says_where_and_which_request_but_no_text(failing, caplog):
    with caplog.at_level(logging.ERROR):
        answer = failing.get("/w/acme/playground/")
    name = answer.headers["X-Request-Id"]
    assert (answer.status_code, name in answer.content.decode()) == (500, True)
    assert all(word in caplog.text for word in ("ValueError", "playground.py"))
    assert [record.request_id for record in caplog.records] == [name]
    assert "roses" not in caplog.text


@pytest.mark.parametrize("address", ["/w/rain-on-my-roses/", "/rain-on-my-roses", "/api/v1/rain-on-my-roses"])
def test_an_address_that_leads_nowhere_is_not_kept(db, caplog, address):
    with caplog.at_level(logging.INFO):
        assert Client().get(address).status_code == 404
    assert caplog.records
    assert "roses" not in caplog.text


def test_a_host_that_is_not_ours_is_not_kept(caplog):
    with caplog.at_level(logging.INFO):
        assert Client().get("/login/", headers={"host": "rain-on-my-roses.example"}).status_code == 400
    assert "DisallowedHost" in caplog.text
    assert "roses" not in caplog.text
