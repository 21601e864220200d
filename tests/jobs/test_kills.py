"""Two thousand jobs, four workers, kills, an emptied broker, cut connections: none lost, one recorded effect each."""

import random
import time
from collections import Counter

import psutil
import pytest
from django.db import connection

from jobs import selectors
from jobs.local import beat_command
from jobs.models import Job
from jobs.services import JobSpec, enqueue_many
from tests.jobs import handlers
from tests.jobs.conftest import COMMITTED, kill_group, until
from tests.processes import kill_all

JOBS = 2_000
KILLS = 8
SEED = 20_250_722


def states():
    return Counter(Job.objects.values_list("state", flat=True))


pytestmark = COMMITTED


def kill_pool_process(worker):
    """The worker starts another in its place."""
    kill_all(psutil.Process(worker.pid).children())


def cut_all_connections():
    """PostgreSQL ends every other session, as a restart would; how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return cursor.fetchone()[0]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_job_is_done_once_however_often_workers_are_killed(effects, start_process, start_worker, broker):
    handlers.register_kinds()
    dice = random.Random(SEED)
    made = enqueue_many(
        JobSpec(kind=dice.choice(["test.record", "test.batch"]), payload={"seconds": dice.choice([0, 0.02, 0.1])})
        for _ in range(JOBS)
    )
    beat = start_process(*beat_command())
    workers = [start_worker(name=f"kill{number}") for number in range(4)]
    # Kills of workers that only start would hit no running job, and on a slow machine all of them take long to.
    until(lambda: selectors.live_workers("cpu").count() == 4 and states()["done"], seconds=200)
    killed, flushed, cut = 0, False, 0
    next_kill = time.monotonic()
    end = time.monotonic() + 500
    while (now := states())["done"] < JOBS and time.monotonic() < end:
        assert now["failed"] == now["cancelled"] == 0
        if killed < KILLS and time.monotonic() > next_kill:
            victim = dice.randrange(4)
            if killed % 2:
                kill_pool_process(workers[victim])
            else:
                kill_group(workers[victim])
                workers[victim] = start_worker(name=f"again{killed}")
            killed += 1
            next_kill = time.monotonic() + dice.uniform(1, 4)
        if not cut and now["done"] > JOBS // 4:
            cut = cut_all_connections()
        if not flushed and now["done"] > JOBS // 2:
            broker.flushdb()
            flushed = True
        time.sleep(0.2)
    assert states() == {"done": JOBS}
    assert effects() == made
    assert flushed
    assert cut
    assert killed >= KILLS // 2
    assert beat.poll() is None
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM jobs_job WHERE attempts > 1")
        assert cursor.fetchone()[0] > 0  # the kills did hit running jobs
