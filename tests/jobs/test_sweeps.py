"""The sweep: what was lost is found again within seconds."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from jobs import claims, kinds, nodes, origins, selectors, services, sweeps
from jobs.models import Job, Worker
from jobs.services import JobSpec, enqueue_many
from jobs.sweeper import Sweeper
from tests.jobs.conftest import COMMITTED, expire_leases, fresh, in_threads, put, run_once, until

pytestmark = COMMITTED


def finish_all(jobs):
    for job in jobs:
        with job.finishing():
            pass


def test_the_sweep_rings_once_for_each_kind_that_waits(kind_of, broker):
    kind, other = kind_of(finish_all), kind_of(finish_all, queue="model")
    enqueue_many(JobSpec(kind=k.name) for k in (kind, other) for _ in range(5))
    broker.flushdb()
    assert services.sweep().bells == 2
    assert (broker.llen("cpu"), broker.llen("model")) == (1, 1)


def test_nothing_is_rung_where_nothing_is_due(kind_of, broker):
    kind = kind_of(finish_all)
    put(kind, delay_seconds=60)
    put(kind)
    run_once(kind)
    broker.flushdb()
    assert services.sweep().bells == 0


def test_two_sweeps_at_once_are_one(kind_of):
    turned_away = threading.Semaphore(0)

    def slowly():
        # Until the two others have been, however late they come.
        for _ in range(2):
            turned_away.acquire(timeout=20)

    def sweep(_):
        ran = services.sweep().ran
        if not ran:
            turned_away.release()
        return ran

    sweeps.register(slowly)
    try:
        ran = in_threads(3, sweep)
    finally:
        del sweeps._every[slowly]
    assert sorted(ran) == [False, False, True]


def test_a_registered_sweep_that_fails_does_not_keep_the_others(caplog):
    ran = []

    def bad():
        raise ValueError("what alice wrote")

    good = lambda: ran.append(True)  # noqa: E731
    sweeps.register(bad)
    sweeps.register(good)
    try:
        services.sweep()
    finally:
        del sweeps._every[bad], sweeps._every[good]
    assert ran == [True]
    assert "alice" not in caplog.text


def test_a_registered_sweep_runs_as_often_as_it_said(monkeypatch):
    ran = []
    often, seldom = (lambda: ran.append("often")), (lambda: ran.append("seldom"))
    monkeypatch.setattr(sweeps, "_every", {})
    monkeypatch.setattr(sweeps, "_due_at", {})
    sweeps.register(often)
    sweeps.register(seldom, every_seconds=60)
    now = time.monotonic()
    for seconds in (0, 59, 61):
        monkeypatch.setattr(sweeps.time, "monotonic", lambda seconds=seconds: now + seconds)
        sweeps.run_all()
    assert ran == ["often", "seldom", "often", "often", "seldom"]


def test_the_origin_hears_of_a_job_that_failed_with_its_worker(kind_of, monkeypatch):
    heard = []
    monkeypatch.setitem(origins._listeners, "run", heard.append)
    kind = kind_of(finish_all, max_attempts=1)
    put(kind, origin="run:7")
    claims.claim(kind)
    expire_leases()
    services.sweep()
    assert heard == ["run:7"]


def test_the_origin_hears_once_of_a_batch(kind_of, monkeypatch):
    heard = []
    monkeypatch.setitem(origins._listeners, "run", heard.append)
    kind = kind_of(finish_all, batch_size=4)
    for origin in ("run:1", "run:2", "run:1", "other:3"):
        put(kind, origin=origin)
    run_once(kind)
    assert heard == ["run:1", "run:2"]


def test_an_origin_hears_nothing_of_an_attempt_that_will_be_repeated(kind_of, monkeypatch):
    heard = []
    monkeypatch.setitem(origins._listeners, "run", heard.append)
    kind = kind_of(lambda jobs: jobs[0].fail("again"))
    put(kind, origin="run:1")
    run_once(kind)
    assert heard == []


def age_worker(node, seconds):
    Worker.objects.filter(pk=node.id).update(heartbeat_at=F("heartbeat_at") - timedelta(seconds=seconds))


@pytest.fixture
def node():
    node = nodes.Node(queues=("cpu",), concurrency=2)
    nodes.beat(node)
    return node


def test_a_beating_worker_is_alive_for_its_queues(node):
    assert [list(selectors.live_workers(queue)) != [] for queue in ("cpu", "model")] == [True, False]


def test_a_silent_worker_is_not_alive(node):
    age_worker(node, 20)
    assert not selectors.live_workers().exists()


def test_a_stopping_worker_serves_nothing_new(node):
    nodes.beat(node, stopping=True)
    assert selectors.unserved_queues(["cpu", "model"]) == ["cpu", "model"]


def test_a_worker_that_stays_silent_is_marked_as_lost(node):
    age_worker(node, 60)
    assert services.sweep().workers_lost == 1
    assert Worker.objects.get().lost


def test_a_worker_thought_lost_that_beats_again_is_alive(node):
    age_worker(node, 60)
    services.sweep()
    nodes.beat(node)
    assert selectors.live_workers("cpu").exists()


def test_finished_jobs_are_kept_for_their_retention_only(kind_of, settings):
    settings.JOBS_RETENTION_DAYS = 14
    kind = kind_of(finish_all)
    old, new, waiting = put(kind), put(kind), put(kind, delay_seconds=600)
    for _ in range(2):
        run_once(kind)
    Job.objects.filter(pk=old.pk).update(finished_at=F("finished_at") - timedelta(days=15))
    Job.objects.filter(pk=waiting.pk).update(created_at=F("created_at") - timedelta(days=15))
    assert services.purge() == 1
    assert set(Job.objects.values_list("pk", flat=True)) == {new.pk, waiting.pk}


def test_workers_that_ended_are_forgotten_after_a_day(node):
    nodes.goodbye(node)
    services.purge()
    assert Worker.objects.count() == 1
    Worker.objects.update(stopped_at=F("stopped_at") - timedelta(days=2))
    services.purge()
    assert Worker.objects.count() == 0


def test_the_sweeper_goes_on_after_a_bad_sweep(kind_of, broker, settings):
    settings.JOBS_SWEEP_SECONDS = 0.05
    kind = kind_of(finish_all, lease_seconds=0.01)
    sweeper = Sweeper()
    sweeper.start()
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid()"
            )
        job = put(kind)
        claims.claim(kind)
        until(lambda: fresh(job).state == "waiting")
    finally:
        sweeper.stop()


def test_a_job_of_a_kind_nobody_knows_any_more_harms_nothing():
    Job.objects.create(kind="test.forgotten")
    assert services.sweep().bells == 0
    with pytest.raises(kinds.UnknownKind):
        kinds.get("test.forgotten")
