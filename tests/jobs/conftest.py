"""People, kinds and helpers of the job tests."""

import os
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
from django.db import connection, connections

from jobs import kinds, runner
from jobs.heart import heart
from jobs.local import worker_command
from jobs.models import Job
from jobs.services import JobSpec, enqueue
from tests.jobs import handlers
from tests.servers import python_path

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def quick(settings):
    """Short intervals: what takes seconds in production takes tenths here."""
    settings.JOBS_HEARTBEAT_SECONDS = 0.2
    settings.JOBS_PROGRESS_SECONDS = 0.05
    settings.JOBS_BACKOFF_SECONDS = 0.0


@pytest.fixture
def broker(settings):
    """The session's Redis, empty."""
    client = redis.Redis.from_url(settings.BROKER_URL)
    client.flushdb()
    yield client
    client.flushdb()


# A database in which what a test commits is committed, and of which this app's tables alone are emptied after it.
COMMITTED = [
    pytest.mark.django_db(transaction=True, available_apps=["jobs"]),
    pytest.mark.usefixtures("nothing_held"),
]


@pytest.fixture
def nothing_held(broker):
    """An empty broker before, and no claim held by this process after."""
    yield
    until(lambda: not heart.holds())


@pytest.fixture
def kind_of():
    """Make a kind for one test: `kind_of(handler, batch_size=4)`."""
    made = []

    def make(handler, *, name=None, **options):
        name = name or f"test.own{len(made)}"
        options = {"queue": "cpu", **options}
        kind = kinds.Kind(name=name, handler="tests.jobs.handlers.own", **options)
        kinds.register(kind)
        handlers.OWN[name] = handler
        made.append(name)
        return kind

    yield make
    for name in made:
        kinds._kinds.pop(name)
        runner._last_sizes.pop(name, None)
        handlers.OWN.pop(name)


@pytest.fixture
def effects(nothing_held):
    """The recorded effects, as the list of job ids; the table would hold doubles."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS test_effect")
        cursor.execute("CREATE TABLE test_effect (job_id bigint NOT NULL, pid int NOT NULL)")

    def recorded():
        with connection.cursor() as cursor:
            cursor.execute("SELECT job_id FROM test_effect ORDER BY job_id")
            return [row[0] for row in cursor.fetchall()]

    yield recorded
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE test_effect")


def put(kind, **spec):
    """Enqueue a job of `kind` (a Kind or a name)."""
    return enqueue(JobSpec(kind=getattr(kind, "name", kind), **spec))


def run_once(kind):
    """Claim one batch of `kind` and run it; the claimed jobs."""
    batch = runner.claim_batch(kind)
    jobs = list(batch)
    if jobs:
        runner.run_batch(batch)
    return jobs


def fresh(job):
    """The job as it stands in the table."""
    return Job.objects.get(pk=job.pk if isinstance(job, Job) else job.id)


def expire_leases():
    """As if every worker had been silent for a minute."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobs_job SET lease_until = lease_until - interval '1 hour' WHERE state = 'running'")


def until(condition, *, seconds=10.0):
    """Wait until `condition()` holds, and fail if it does not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"did not come true within {seconds} s")


def in_threads(count, work):
    """Run `work(number)` in threads at once, each with a connection of its own; their results."""
    results = [None] * count
    barrier = threading.Barrier(count)

    def run(number):
        try:
            barrier.wait()
            results[number] = work(number)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@contextmanager
def in_background(work):
    """Run `work()` in a thread while the block runs; raises what it raised."""
    raised = []

    def run():
        try:
            work()
        except BaseException as exc:
            raised.append(exc)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(30)
    assert not thread.is_alive()
    if raised:
        raise raised[0]


def worker_environment(settings):
    """What a process needs to serve this test's database and broker."""
    base, _, _ = os.environ["DATABASE_URL"].partition("?")
    database = connection.settings_dict["NAME"]
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.jobs.worker_settings",
        "DATABASE_URL": f"{base.rpartition('/')[0]}/{database}",
        "BROKER_URL": settings.BROKER_URL,
        "PYTHONPATH": python_path(),
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def start_process(settings, tmp_path):
    """Start a process of ours in a session of its own; whatever is left is killed after the test."""
    started = []

    def start(*command):
        log = (tmp_path / f"process{len(started)}.log").open("wb")
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=ROOT,
            env=worker_environment(settings),
        )
        process.log = Path(log.name)
        log.close()
        started.append(process)
        return process

    yield start
    for process in started:
        kill_group(process)
        # Shown where the test failed, and only there.
        print(
            f"--- the end of {process.log.name}:", *process.log.read_text(errors="replace").splitlines()[-20:], sep="\n"
        )


@pytest.fixture
def start_worker(start_process):
    """Start a Celery worker: `start_worker(queues=["cpu"], concurrency=1, pool="prefork")`."""

    def start(*, queues=("cpu", "model"), concurrency=1, pool="prefork", name="test"):
        return start_process(*worker_command(queues=queues, concurrency=concurrency, pool=pool, name=name))

    return start


def kill_group(process):
    """`kill -9` a started process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()
