"""Pages by keyset: every row once, whatever the ordering and the cut."""

import json
from itertools import product

import pytest
from django.core import signing

from common.api.pagination import page_of
from common.api.problems import Problem
from tests import people
from users_app.models import EndUser, ProfileEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def entries(workspace):
    """Entries of three people, in two tasks, of which many agree in one column."""
    for name, task in product("abc", ["LaMP-4", "LaMP-7"]):
        texts = [{"text": f"{name} {task} {number}", "title": "x"} for number in range(4)]
        people.person(workspace, name, texts, task=task)
    return ProfileEntry.objects.all()


def turn(rows, order, limit, bound_to="entries"):
    """All pages."""
    found, cursor = [], None
    while True:
        page, cursor = page_of(rows, order=order, limit=limit, cursor=cursor, bound_to=bound_to)
        found.append([row.pk for row in page])
        if cursor is None:
            return found


@pytest.mark.parametrize(
    "order",
    [("pk",), ("-pk",), ("task", "id"), ("-task", "id"), ("task", "-position", "id"), ("-added_at", "-id"),
     ("client_id", "id")],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("limit", [1, 5, 24, 25])
def test_pages_are_the_list_cut_up(entries, order, limit):
    pages = turn(entries, order, limit)
    assert [pk for page in pages for pk in page] == list(entries.order_by(*order).values_list("pk", flat=True))
    assert all(len(page) == limit for page in pages[:-1])


def test_a_list_of_nothing_is_one_page(db):
    assert page_of(EndUser.objects.none(), order=("pk",), limit=5, cursor=None, bound_to="x") == ([], None)


def test_times_keep_their_microseconds(entries):
    assert len(turn(entries, ("added_at", "id"), 1)) == 24


def forged(value):
    return signing.Signer(salt="guessed").sign_object(value)


@pytest.mark.parametrize(
    "damage",
    [lambda c: c[:-1], lambda c: "", lambda c: "x" * 100, lambda c: c.upper(), lambda c: forged([1]), lambda c: c + "=",
     lambda c: json.dumps([1]), lambda c: "é🌹", lambda c: c.replace(":", "")],
)  # fmt: skip
def test_a_damaged_cursor_is_found_out(entries, damage):
    _, cursor = page_of(entries, order=("pk",), limit=2, cursor=None, bound_to="x")
    with pytest.raises(Problem) as raised:
        page_of(entries, order=("pk",), limit=2, cursor=damage(cursor), bound_to="x")
    assert (raised.value.status, raised.value.errors[0].field) == (400, "?cursor")


@pytest.mark.parametrize(("order", "bound_to"), [(("-pk",), "x"), (("pk",), "y")])
def test_a_cursor_of_another_list_is_found_out(entries, order, bound_to):
    _, cursor = page_of(entries, order=("pk",), limit=2, cursor=None, bound_to="x")
    with pytest.raises(Problem):
        page_of(entries, order=order, limit=2, cursor=cursor, bound_to=bound_to)
