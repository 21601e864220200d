"""The wall around the pages of each workspace: they are for its members, and for nobody else.

The routes are those of the URL conf, so a new page is covered as it is added. What an address names is there.
"""

import pytest
from django.test import Client

from tests import people
from tests.everything import FILENAME, HOOKS, one_of_everything
from tests.lamp.own_tasks import REPLIES
from tests.members import member_of
from tests.routes import routes
from users_app.models import Membership

PAGES = ("w/",)


@pytest.fixture
def acme(workspace, alice, bob, dev):
    return one_of_everything(workspace=workspace, alice=alice, dev=dev)


@pytest.fixture
def secrets(acme):
    """What nobody else may read."""
    texts = [entry["text"] for entry in [*people.OF_ALICE, *people.OF_BOB]]
    return [*texts, "rain on my roses", REPLIES["title"], HOOKS, FILENAME]


def content(answer):
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def told(answer, secrets):
    text = content(answer).decode(errors="replace") + str(answer.headers)
    return [secret for secret in secrets if secret in text]


def pages():
    return routes(PAGES)


def test_whoever_is_not_logged_in_is_sent_to_the_login(acme):
    wrong = []
    for page in pages():
        for method in page.methods():
            answer = Client().generic(method, page.address(acme)[0])
            if answer.status_code != 302 or not answer.headers["Location"].startswith("/login/?next=/w/"):
                wrong.append((method, str(page), answer.status_code))
    assert wrong == []


def test_for_staff_of_another_workspace_there_is_nothing(acme, mallory, secrets):
    stranger = member_of(mallory.workspace, Membership.Role.ADMIN)
    wrong = []
    for page in pages():
        for method in page.methods():
            answer = stranger.generic(method, page.address(acme)[0])
            if answer.status_code != 404 or told(answer, secrets):
                wrong.append((method, str(page), answer.status_code))
    assert wrong == []


def test_in_ones_own_workspace_another_s_things_are_not_there(acme, mallory, secrets):
    """The address is of one's own workspace, the numbers in it are of another's."""
    stranger = member_of(mallory.workspace, Membership.Role.ADMIN)
    wrong = []
    for page in pages():
        address, _ = page.address(acme)
        if not page.has_numbers():
            continue
        own = address.replace(f"/w/{acme.slug}/", f"/w/{mallory.workspace.slug}/", 1)
        for method in page.methods():
            answer = stranger.generic(method, own)
            if answer.status_code != 404 or told(answer, secrets):
                wrong.append((method, str(page), answer.status_code))
    assert wrong == []


def test_its_members_see_each_page(acme):
    member = member_of(acme, Membership.Role.VIEWER)
    wrong = []
    for page in pages():
        address, exists = page.address(acme)
        if "GET" not in page.methods():
            continue
        answer = member.get(address)
        if not exists or answer.status_code not in (200, 302):
            wrong.append((str(page), address, exists, answer.status_code))
    assert wrong == []


def test_a_viewer_changes_nothing(acme):
    viewer = member_of(acme, Membership.Role.VIEWER)
    wrong = []
    for page in pages():
        for method in set(page.methods()) - {"GET", "HEAD"}:
            answer = viewer.generic(method, page.address(acme)[0])
            if answer.status_code != 403:
                wrong.append((method, str(page), answer.status_code))
    assert wrong == []


def test_each_form_asks_for_its_token(acme):
    member = member_of(acme, Membership.Role.ADMIN)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = member.cookies
    wrong = []
    for page in pages():
        for method in set(page.methods()) - {"GET", "HEAD"}:
            answer = strict.generic(method, page.address(acme)[0])
            if answer.status_code != 403:
                wrong.append((method, str(page), answer.status_code))
    assert wrong == []


def test_pages_load_from_this_host_alone(acme):
    member = member_of(acme, Membership.Role.ADMIN)
    wrong = []
    for page in pages():
        address, _ = page.address(acme)
        if "GET" in page.methods():
            answer = member.get(address)
            if answer.status_code == 200 and "default-src 'self'" not in answer.headers["Content-Security-Policy"]:
                wrong.append(str(page))
    assert wrong == []
