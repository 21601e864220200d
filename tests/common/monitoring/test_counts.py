"""What many processes count is one number in the database, which only grows."""

import os
import threading

import pytest
from django.db import DatabaseError
from prometheus_client import CollectorRegistry, Counter, Histogram

from common.models import CountedSample
from common.monitoring.counts import counted_everywhere
from common.monitoring.publishing import Publisher


class Process:
    """Counts as a process of ours does."""

    def __init__(self, *, bounds=(1, 10)):
        self.registry = CollectorRegistry()
        self.tokens = Counter("lamppost_tokens", "Tokens.", ["direction"], registry=self.registry)
        self.seconds = Histogram("lamppost_seconds", "Seconds.", ["kind"], buckets=bounds, registry=self.registry)
        self.publisher = Publisher(self.registry)


def everywhere(process):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in counted_everywhere(process.registry)
        for sample in metric.samples
    }


def test_processes_add_up(db):
    one, two = Process(), Process()
    one.tokens.labels("input").inc(3)
    two.tokens.labels("input").inc(4)
    two.tokens.labels("output").inc(1)
    one.publisher.publish()
    two.publisher.publish()
    assert everywhere(one) == {("lamppost_tokens_total", "input"): 7, ("lamppost_tokens_total", "output"): 1}


def test_what_was_published_is_not_published_again(db):
    one = Process()
    one.tokens.labels("input").inc(3)
    assert [one.publisher.publish(), one.publisher.publish()] == [1, 0]
    one.tokens.labels("input").inc()
    one.publisher.publish()
    assert everywhere(one) == {("lamppost_tokens_total", "input"): 4}


def test_a_number_outlives_the_process_that_counted_it(db):
    one = Process()
    one.tokens.labels("input").inc(3)
    one.publisher.publish()
    later = Process()
    later.tokens.labels("input").inc(1)
    later.publisher.publish()
    assert everywhere(later) == {("lamppost_tokens_total", "input"): 4}


def test_observations_come_as_a_histogram(db):
    one, two = Process(), Process()
    for process, seconds in ((one, 0.5), (two, 0.7), (two, 5), (one, 50)):
        process.seconds.labels("train").observe(seconds)
    one.publisher.publish()
    two.publisher.publish()
    found = everywhere(one)
    # Each with the labels in the order of their names: the kind, then the bound.
    assert {key[2]: value for key, value in found.items() if key[0] == "lamppost_seconds_bucket"} == {
        "1.0": 2,
        "10.0": 3,
        "+Inf": 4,
    }
    assert found["lamppost_seconds_count", "train"] == 4
    assert found["lamppost_seconds_sum", "train"] == pytest.approx(56.2)


def test_what_no_code_declares_any_more_is_left_out(db):
    CountedSample.objects.create(name="lamppost_old_total", labels="{}", value=9)
    assert everywhere(Process()) == {}


def test_what_the_database_did_not_take_comes_the_next_time(db, monkeypatch):
    one = Process()
    one.tokens.labels("input").inc(3)

    def away(_):
        raise DatabaseError

    with monkeypatch.context() as patch:
        patch.setattr("common.monitoring.counts.add", away)
        with pytest.raises(DatabaseError):
            one.publisher.publish()
    one.publisher.publish()
    assert everywhere(one) == {("lamppost_tokens_total", "input"): 3}


def test_a_forked_process_does_not_publish_what_its_parent_has_counted(db):
    one = Process()
    one.tokens.labels("input").inc(3)
    child = os.fork()
    if child == 0:
        one.tokens.labels("input").inc(2)
        more = [
            value - one.publisher._published.get(key, 0.0)
            for key, value in one.publisher._read().items()
            if key[0] == "lamppost_tokens_total"
        ]
        os._exit(int(more[0]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2


@pytest.mark.django_db(transaction=True)
def test_processes_that_publish_at_once_lose_nothing():
    from django.db import connection

    processes = [Process() for _ in range(4)]

    def publish(process):
        for _ in range(20):
            process.tokens.labels("output").inc()
            process.tokens.labels("input").inc()
            process.publisher.publish()
        connection.close()

    threads = [threading.Thread(target=publish, args=[process]) for process in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert everywhere(processes[0]) == {("lamppost_tokens_total", "input"): 80, ("lamppost_tokens_total", "output"): 80}
