"""Where people log in and out."""

from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model

from users_app.login_limits import ATTEMPTS_A_MINUTE
from users_app.models import Membership
from users_app.services import set_role


@pytest.fixture
def carol(workspace):
    """A member who is no staff of the installation."""
    user = get_user_model().objects.create_user("carol", password="a long word")
    set_role(workspace=workspace, user_id=user.pk, role=Membership.Role.VIEWER)
    return user


def log_in(client, password="a long word", **told):
    return client.post("/login/", {"username": "carol", "password": password, **told})


def test_whoever_is_logged_in_already_and_would_come_here_again_is_sent_home(client, admin_user):
    client.force_login(admin_user)
    assert client.get("/login/?next=/login/").headers["Location"] == "/"


def test_a_member_who_may_not_use_the_admin_logs_in_and_sees_their_workspace(client, carol):
    assert log_in(client, next="/w/acme/experiments/").headers["Location"] == "/w/acme/experiments/"
    assert client.get("/w/acme/experiments/").status_code == 200


def test_nobody_is_sent_to_another_host(client, carol):
    assert log_in(client, next="https://example.org/").headers["Location"] == "/"


def test_a_wrong_password_is_said_and_nobody_is_logged_in(client, carol):
    answer = log_in(client, password="another")
    assert (answer.status_code, "correct username and password" in answer.content.decode()) == (200, True)
    assert client.get("/").status_code == 302


def test_who_is_logged_in_is_sent_on(client, carol):
    client.force_login(carol)
    assert client.get("/login/").headers["Location"] == "/"


def test_logging_out_leads_to_the_login(client, carol):
    client.force_login(carol)
    assert client.post("/logout/").headers["Location"] == "/login/"
    assert client.get("/").headers["Location"] == "/login/?next=/"


def test_the_admin_keeps_its_own_login(client, db):
    assert client.get("/admin/").headers["Location"] == "/admin/login/?next=/admin/"


def test_the_page_loads_from_this_host_alone(client, db):
    assert "default-src 'self'" in client.get("/login/").headers["Content-Security-Policy"]


def test_a_part_of_a_page_whose_session_has_ended_loads_the_page_again(client, workspace):
    answer = client.get("/w/acme/experiments/", headers={"HX-Request": "true"})
    assert (answer.headers["HX-Refresh"], answer.content) == ("true", b"")


def test_one_changes_ones_own_password_and_stays_logged_in(client, carol):
    client.force_login(carol)
    told = {"old_password": "a long word", "new_password1": "another long word", "new_password2": "another long word"}
    assert client.post("/password/", told).headers["Location"] == "/"
    assert client.get("/").status_code in (200, 302)
    carol.refresh_from_db()
    assert carol.check_password("another long word")


def test_changing_a_password_takes_a_login(client, db):
    assert client.get("/password/").headers["Location"] == "/login/?next=/password/"


def test_a_name_s_password_is_tried_so_often_a_minute(client, db):
    name = f"rita-{uuid4()}"
    get_user_model().objects.create_user(name, password="a password of rita")
    for _ in range(ATTEMPTS_A_MINUTE):
        client.post("/login/", {"username": name, "password": "a guess"})
    # Even the right one is not looked at now, at either login.
    for login in ("/login/", "/admin/login/"):
        assert client.post(login, {"username": name, "password": "a password of rita"}).status_code == 200
    assert "_auth_user_id" not in client.session
    other = f"sam-{uuid4()}"
    get_user_model().objects.create_user(other, password="a password of sam")
    assert client.post("/login/", {"username": other, "password": "a password of sam"}).status_code == 302
