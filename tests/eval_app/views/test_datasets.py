"""The datasets of a workspace, and one of them."""

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests import people
from tests.eval_app.stored import answered_run, ended
from users_app.models import Membership
from users_app.services import set_role

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(workspace):
    user = get_user_model().objects.create_user("vera")
    set_role(workspace=workspace, user_id=user.pk, role=Membership.Role.VIEWER)
    client = Client()
    client.force_login(user)
    return client


def page_of(browser, address):
    answer = browser.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_each_dataset_is_listed_with_its_splits(browser, dev):
    page = page_of(browser, "/w/acme/datasets/")
    assert (f"/w/acme/datasets/{dev.dataset_id}/" in page, "LaMP-7 dev · 3 questions" in page) == (True, True)


def test_many_datasets_cost_no_more_queries(browser, workspace, alice, bob, dev):
    def asked():
        with CaptureQueriesContext(connection) as queries:
            page_of(browser, "/w/acme/datasets/")
        return len(queries)

    one = asked()
    for n in range(20):
        people.split_of(people.questions_of(alice, bob), dataset=f"more-{n}")
    assert asked() == one


def test_a_dataset_tells_its_versions_with_digests_and_what_they_have(browser, dev, alice, bob):
    people.split_of(people.questions_of(alice, bob))
    page = page_of(browser, f"/w/acme/datasets/{dev.dataset_id}/")
    assert (page.count(dev.digest), "version 2" in page, page.count(">newest<")) == (1, True, 1)


def test_its_experiments_are_listed(browser, dev):
    ended(dev, {"none": answered_run(dev, ["a", "b", "c"])}, name="of-tweets")
    assert "of-tweets" in page_of(browser, f"/w/acme/datasets/{dev.dataset_id}/")


def test_a_viewer_is_offered_no_change(browser, dev):
    page = page_of(browser, f"/w/acme/datasets/{dev.dataset_id}/")
    assert ("Import more" in page, "Delete" in page) == (False, False)


def test_another_workspace_s_dataset_does_not_exist(browser, mallory):
    split = people.split_of([people.Asked(mallory, "x", "y", [])])
    assert browser.get(f"/w/acme/datasets/{split.dataset_id}/").status_code == 404
