"""A compiled query finds what the same query finds, for any values."""

import threading

import pytest
from django.db import connections, transaction
from django.db.transaction import TransactionManagementError

from common.compiled_queries import CompiledQuery
from users_app.models import EndUser, Workspace

_EXTERNAL_ID = EndUser._meta.get_field("external_id")
_WORKSPACE = EndUser._meta.get_field("workspace")


@pytest.fixture
def people(db):
    for slug in ("here", "there"):
        workspace = Workspace.objects.create(slug=slug, name=slug)
        for name in ("ann", "ben", "it's %s; --"):
            EndUser.objects.create(workspace=workspace, external_id=name)


def build(workspace, external_id):
    return EndUser.objects.filter(workspace=workspace, external_id=external_id).select_related("workspace")


@pytest.mark.parametrize("name", ["ann", "ben", "it's %s; --", "nobody"])
def test_it_finds_what_the_query_finds(people, name):
    compiled = CompiledQuery(build, _WORKSPACE, _EXTERNAL_ID)
    for workspace in Workspace.objects.all():
        found = compiled(workspace.pk, name)
        assert found == list(build(workspace.pk, name))
        assert [one.workspace for one in found] == [workspace] * len(found)


def test_it_gives_what_the_query_gives(people):
    compiled = CompiledQuery(
        lambda name: EndUser.objects.filter(external_id=name).order_by("pk").values_list("pk", flat=True), _EXTERNAL_ID
    )
    plain = EndUser.objects.filter(external_id="ann").order_by("pk").values_list("pk", flat=True)
    assert compiled("ann") == list(plain)
    assert compiled.first("ann") == plain[0]
    assert compiled.first("nobody") is None


def test_values_of_one_use_are_not_those_of_the_next(people):
    compiled = CompiledQuery(lambda name: EndUser.objects.filter(external_id=name), _EXTERNAL_ID)
    assert {one.external_id for one in compiled("ann")} == {"ann"}
    assert {one.external_id for one in compiled("ben")} == {"ben"}


def test_two_parameters_of_one_type_are_two(people):
    compiled = CompiledQuery(
        lambda one, other: EndUser.objects.filter(external_id__in=[one, other]), _EXTERNAL_ID, _EXTERNAL_ID
    )
    assert {one.external_id for one in compiled("ann", "ben")} == {"ann", "ben"}


def test_as_many_values_as_parameters_are_asked_for(people):
    compiled = CompiledQuery(lambda name: EndUser.objects.filter(external_id=name), _EXTERNAL_ID)
    with pytest.raises(ValueError, match="zip"):
        compiled("ann", "ben")


@pytest.mark.django_db(transaction=True, available_apps=["users_app"])
def test_each_thread_asks_over_its_own_connection():
    workspace = Workspace.objects.create(slug="here", name="here")
    EndUser.objects.create(workspace=workspace, external_id="ann")
    compiled = CompiledQuery(lambda name: EndUser.objects.filter(external_id=name), _EXTERNAL_ID)
    found = []

    def look():
        try:
            found.append(len(compiled("ann")))
        finally:
            connections.close_all()

    compiled("ann")
    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 4


@pytest.mark.django_db(transaction=True, available_apps=["users_app"])
def test_a_lock_outside_of_a_transaction_is_refused_as_django_refuses_it():
    compiled = CompiledQuery(lambda name: EndUser.objects.select_for_update().filter(external_id=name), _EXTERNAL_ID)
    with transaction.atomic():
        assert compiled("ann") == []
    with pytest.raises(TransactionManagementError):
        compiled("ann")
