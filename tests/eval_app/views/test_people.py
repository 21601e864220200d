"""The list of people."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.eval_app.crowds import indexes_used
from tests.members import member_of
from users_app.models import EndUser
from users_app.selectors import end_users


@pytest.fixture
def see(workspace):
    member = member_of(workspace)
    return lambda query="": member.get(f"/w/{workspace.slug}/people/?{query}")


def names(answer):
    return re.findall(r'/people/\d+/">([^<]+)</a>', answer.content.decode())


def test_everybody_comes_by_their_id(see, alice, bob, mallory):
    assert names(see()) == ["alice", "bob"]


@pytest.mark.parametrize(
    ("beginning", "found"), [("al", ["alice"]), ("li", []), ("Al", []), ("a%25", []), ("b", ["bob"])]
)
def test_those_whose_id_begins_so(see, alice, bob, beginning, found):
    assert names(see(f"q={beginning}")) == found


def test_what_no_id_can_be_is_answered(see, alice):
    for query in ("q=a%00l", "q=" + "x" * 3000, "after=forged", "after=&q="):
        assert see(query).status_code == 200


def test_pages_follow_each_other(see, workspace):
    EndUser.objects.bulk_create(EndUser(workspace=workspace, external_id=f"p{at:03}") for at in range(130))
    seen, query = [], "q=p"
    while query is not None:
        answer = see(query)
        seen += names(answer)
        query = answer.context["page"].following
    assert seen == [f"p{at:03}" for at in range(130)]


def test_an_index_has_the_order(alice, workspace):
    rows = end_users(workspace=workspace).filter(external_id__startswith="al", external_id__gt="al")
    assert indexes_used(rows.order_by("external_id")[:51]) == {"end_user_once_a_workspace"}


def test_an_index_begins_where_they_do(see, alice):
    with CaptureQueriesContext(connection) as queries:
        see("q=al")
    assert any("\"external_id\" >= 'al'" in query["sql"] for query in queries.captured_queries)


def test_nothing_is_counted(see, alice, django_assert_max_num_queries):
    with django_assert_max_num_queries(6) as queries:
        see()
    assert not any("COUNT(" in query["sql"] for query in queries.captured_queries)
