import threading
import time
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection, transaction

from tests.training_app.generations import ANSWERED, asked
from training_app import waiting
from training_app.generations import record_answers
from training_app.models import Generation
from training_app.waiting import stop_listening, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nobody_listens")]


@pytest.fixture
def nobody_listens():
    yield
    stop_listening()


@contextmanager
def meanwhile(*steps):
    """Do these things in another thread, and its connection, one after another."""

    def run():
        for step in steps:
            step()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(20)


def once_heard():
    until = time.monotonic() + 10
    while not waiting._listener.hearing and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.05)


def answer(generation):
    def record():
        with transaction.atomic():
            record_answers([(generation, ANSWERED)])

    return record


def seconds_of(call):
    began = time.monotonic()
    result = call()
    return result, time.monotonic() - began


def test_whoever_waits_hears_of_the_end_as_it_happens(alice, monkeypatch):
    monkeypatch.setattr(waiting, "_LOOK_SECONDS_HEARING", 30)
    generation = asked(alice)
    with meanwhile(once_heard, answer(generation)):
        ended, seconds = seconds_of(lambda: wait_for([generation.pk], seconds=15))
    assert ended
    assert seconds < 10


def test_several_are_waited_for_until_the_last(alice, bob, monkeypatch):
    monkeypatch.setattr(waiting, "_LOOK_SECONDS_HEARING", 30)
    first, last = asked(alice), asked(bob)
    with meanwhile(once_heard, answer(first), lambda: time.sleep(0.3), answer(last)):
        assert wait_for([first.pk, last.pk], seconds=15)
    assert {one.state for one in Generation.objects.all()} == {"done"}


def test_what_has_ended_already_is_not_waited_for(alice):
    generation = asked(alice)
    answer(generation)()
    assert wait_for([generation.pk], seconds=0)
    assert wait_for([generation.pk, 10**9], seconds=15)


def test_the_wait_ends_when_the_time_is_over(alice):
    ended, seconds = seconds_of(lambda: wait_for([asked(alice).pk], seconds=0.3))
    assert not ended
    assert 0.3 <= seconds < 5


def test_where_nobody_can_listen_who_waits_looks(alice, monkeypatch):
    def refuse():
        raise psycopg.OperationalError

    monkeypatch.setattr(waiting._listener, "_listen", refuse)
    generation = asked(alice)
    with meanwhile(lambda: time.sleep(0.3), answer(generation)):
        ended, seconds = seconds_of(lambda: wait_for([generation.pk], seconds=15))
    assert ended
    assert seconds < 5


def test_who_waits_holds_no_connection(alice):
    generation = asked(alice)
    held = []

    def look():
        held.append(connection.connection)

    with meanwhile(once_heard, answer(generation)):
        wait_for([generation.pk], seconds=15)
        look()
    assert held == [None]


def test_too_many_do_not_wait_at_all(alice, monkeypatch):
    monkeypatch.setattr(waiting, "_waiting", threading.BoundedSemaphore(1))
    generation = asked(alice)
    with meanwhile(lambda: wait_for([generation.pk], seconds=15)):
        until = time.monotonic() + 10
        while waiting._waiting._value and time.monotonic() < until:
            time.sleep(0.01)
        ended, seconds = seconds_of(lambda: wait_for([generation.pk], seconds=15))
        answer(generation)()
    assert not ended
    assert seconds < 5
