"""Lists on pages, in any order that an index has."""

import pytest
from django.http import QueryDict

from common.keyset_lists import keyset_page
from tests import people
from users_app.models import EndUser


@pytest.fixture
def names(workspace):
    EndUser.objects.bulk_create(EndUser(workspace=workspace, external_id=name) for name in "abcde")
    return EndUser.objects.filter(workspace=workspace)


def page(names, query="", **told):
    asked = {"order": ("external_id",), "bound_to": "names", "size": 2, **told}
    return keyset_page(names, query=QueryDict(query), **asked)


def shown(found):
    return [one.external_id for one in found.rows]


def test_pages_follow_each_other(names):
    first = page(names)
    second = page(names, first.following)
    last = page(names, second.following)
    assert [shown(first), shown(second), shown(last)] == [["a", "b"], ["c", "d"], ["e"]]
    assert (first.is_first, second.is_first, last.following) == (True, False, None)


def test_the_other_parameters_are_kept(names):
    first = page(names, "q=x%26y&q=z&other=1")
    assert QueryDict(first.following).getlist("q") == ["x&y", "z"]
    second = page(names, first.following)
    assert QueryDict(second.first).dict() == {"q": "z", "other": "1"}


def test_two_lists_of_a_page_have_places_of_their_own(names):
    one = page(names, parameter="one-after")
    other = page(names, one.following, parameter="other-after", order=("-external_id",))
    assert shown(other) == ["e", "d"]
    assert shown(page(names, other.following, parameter="one-after")) == ["c", "d"]


@pytest.mark.parametrize("place", ["", "forged", "a:b:c", "%00", "x" * 5000])
def test_a_place_of_no_such_list_is_ignored(names, place):
    assert shown(page(names, f"after={place}")) == ["a", "b"]


def test_a_place_of_another_list_is_ignored(names):
    elsewhere = page(names, bound_to="others").following
    assert shown(page(names, elsewhere)) == ["a", "b"]


def test_a_name_of_strange_characters_can_be_a_place(workspace):
    for name in ("<b>", "é&?#", "日本"):
        people.person(workspace, name)
    found = EndUser.objects.filter(workspace=workspace)
    seen, query = [], ""
    while query is not None:
        one = page(found, query, size=1)
        seen += shown(one)
        query = one.following
    assert sorted(seen) == sorted(["<b>", "é&?#", "日本"])
