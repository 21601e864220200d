"""One effect however often, and at whatever moment, a request is repeated."""

import threading

import pytest
from django.db import connection, connections

from common.api.idempotency import delete_records, fingerprint_of, forget_old_records, once
from common.api.problems import Problem
from common.models import IdempotencyRecord
from jobs import sweeps

ASKED = fingerprint_of(method="POST", path="/x", body_digest=b"1")
OTHER = fingerprint_of(method="POST", path="/x", body_digest=b"2")


def ask(create, *, workspace_id=1, key="k", fingerprint=ASKED, end_user_id=None):
    return once(workspace_id=workspace_id, key=key, fingerprint=fingerprint, end_user_id=end_user_id, create=create)


def age(hours):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE common_idempotencyrecord SET created_at = now() - make_interval(hours => %s)", [hours])


@pytest.mark.django_db
class TestOneAfterTheOther:
    def test_the_second_gets_what_the_first_has_made(self):
        assert ask(lambda: {"id": 1}) == ({"id": 1}, False)
        assert ask(lambda: pytest.fail("it ran twice")) == ({"id": 1}, True)

    def test_without_a_key_each_has_its_effect(self):
        assert [ask(lambda: {"id": 1}, key=None)[1] for _ in range(2)] == [False, False]
        assert not IdempotencyRecord.objects.exists()

    def test_another_request_with_the_key_is_refused(self):
        ask(lambda: {"id": 1})
        with pytest.raises(Problem) as raised:
            ask(lambda: pytest.fail("it ran"), fingerprint=OTHER)
        assert (raised.value.status, raised.value.slug) == (422, "idempotency-key-reused")

    def test_another_workspace_has_keys_of_its_own(self):
        ask(lambda: {"id": 1})
        assert ask(lambda: {"id": 2}, workspace_id=2, fingerprint=OTHER) == ({"id": 2}, False)

    def test_what_failed_leaves_no_record(self):
        with pytest.raises(ZeroDivisionError):
            ask(lambda: {"id": 1 / 0})
        assert ask(lambda: {"id": 2}, fingerprint=OTHER) == ({"id": 2}, False)

    def test_records_end_with_their_retention(self):
        ask(lambda: {"id": 1})
        age(47)
        assert delete_records(older_than_hours=48) == 0
        age(49)
        assert delete_records(older_than_hours=48) == 1
        assert ask(lambda: {"id": 2}) == ({"id": 2}, False)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"method": "PUT"}, {"method": "POST"}),
        ({"path": "/a"}, {"path": "/b"}),
        ({"body_digest": b"1"}, {"body_digest": b"2"}),
    ],
)
def test_requests_differ_by_method_path_and_body(one, other):
    usual = {"method": "POST", "path": "/a", "body_digest": b"1"}
    assert fingerprint_of(**{**usual, **one}) != fingerprint_of(**{**usual, **other})


class Together:
    """Two requests at once: the second begins while the first's effect is under way."""

    def __init__(self):
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.answers = {}

    def first(self, *, fails):
        def create():
            self.begun.set()
            assert self.may_end.wait(10)
            if fails:
                raise ZeroDivisionError
            return {"id": 1}

        self._ask("first", create)

    def second(self, fingerprint):
        self._ask("second", lambda: {"id": 2}, fingerprint)

    def _ask(self, name, create, fingerprint=ASKED):
        try:
            self.answers[name] = ask(create, fingerprint=fingerprint)
        except (ZeroDivisionError, Problem) as error:
            self.answers[name] = type(error)
        finally:
            connections.close_all()

    def run(self, *, fails=False, fingerprint=ASKED):
        threads = [
            threading.Thread(target=self.first, kwargs={"fails": fails}),
            threading.Thread(target=self.second, args=[fingerprint]),
        ]
        threads[0].start()
        assert self.begun.wait(10)
        threads[1].start()
        threads[1].join(0.3)
        assert threads[1].is_alive()  # it waits for the first
        self.may_end.set()
        for thread in threads:
            thread.join(10)
        return self.answers


@pytest.mark.django_db(transaction=True, available_apps=["common"])
class TestAtOnce:
    def test_the_second_waits_and_gets_the_firsts(self):
        assert Together().run() == {"first": ({"id": 1}, False), "second": ({"id": 1}, True)}

    def test_where_the_first_fails_the_second_takes_its_place(self):
        assert Together().run(fails=True) == {"first": ZeroDivisionError, "second": ({"id": 2}, False)}

    def test_another_request_at_once_is_refused(self):
        assert Together().run(fingerprint=OTHER) == {"first": ({"id": 1}, False), "second": Problem}


def test_beats_sweep_deletes_old_records():
    assert forget_old_records in sweeps._every
