"""Five hundred mixed jobs, four workers, and something breaks: each job done, each effect once, each adapter whole."""

import random
import signal
import time

import psutil
import pytest

from jobs.local import beat_command
from tests.end_to_end.faults.conftest import GENERATIONS, JOBS, TRAININGS
from tests.jobs.conftest import kill_group
from tests.processes import kill_all

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

BEGUN = "state <> 'waiting' OR attempts > 0"


def test_workers_killed_at_random(installation, load):
    dice = random.Random(20_261_128)
    for number in range(6):
        load.until("state = 'done'", count=number * JOBS // 10)
        victim = dice.choice(installation.busy())
        if number % 2:
            # Its main process starts another one.
            kill_all(psutil.Process(victim.pid).children())
        else:
            installation.workers.remove(victim)
            kill_group(victim)
            installation.workers.append(installation.start_worker())
    told = load.ended()
    assert {"test.batch", "test.record", "generate", "train_adapter"} <= set(told["kinds"])
    assert load.count("attempts > 1") > 0


def test_redis_restarted_and_flushed(installation, load):
    load.until("state = 'done'", count=JOBS // 10)
    installation.kill("redis")
    time.sleep(5)
    # What bells it held is gone.
    installation.revive()
    load.ended()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["orderly", "crashed"])
def test_postgresql_restarted(installation, load, how):
    load.until("state = 'done'", count=JOBS // 10)
    installation.kill("postgres", how=how)
    time.sleep(5)
    installation.revive()
    load.ended()
    assert [worker.poll() for worker in installation.workers] == [None] * len(installation.workers)


def test_the_object_store_away_for_half_a_minute(installation, load):
    load.until(BEGUN)
    installation.kill("s3")
    went = time.monotonic()
    # Whoever needs it meanwhile waits for it.
    load.until("kind = 'train_adapter' AND state = 'waiting' AND error_type LIKE '%%ObjectStoreUnavailable'")
    time.sleep(max(0.0, went + 30 - time.monotonic()))
    installation.revive()
    load.ended()
    assert load.count("kind = 'train_adapter' AND attempts > 1") == 0


@pytest.mark.parametrize(
    ("whose", "met"),
    [("store", "%%ObjectStoreUnavailable"), ("workers", "OSError")],
    ids=["of-the-store", "of-workers"],
)
def test_a_disk_full_while_adapters_are_written(installation, disks, whose, met):
    _, made = disks
    with made[whose].full():
        load = installation.load(jobs=JOBS, trainings=TRAININGS, generations=GENERATIONS)
        # What it has met is told of a job that runs again, too: so many need not wait in one moment.
        load.until(f"kind = 'train_adapter' AND error_type LIKE '{met}'", count=TRAININGS // 2)
        time.sleep(5)
        assert load.count("kind = 'train_adapter' AND state = 'done'") == 0
    load.ended()
    assert load.count("attempts > 1 AND kind = 'train_adapter'") == 0


def test_clocks_of_workers_that_jump(installation):
    """By five minutes, forwards and backwards, every second: a lease is of eight seconds."""
    installation.dismiss()
    installation.workers = [installation.start_worker(jumping=True) for _ in range(4)]
    installation.until_heard(4)
    load = installation.load(jobs=JOBS, trainings=TRAININGS, generations=GENERATIONS)
    load.ended()
    assert load.count("attempts > 1") == 0
    installation.dismiss()


def test_leases_that_the_database_s_clock_has_moved_past(installation, load):
    """Whoever held them is alive and goes on; whoever takes over does so too; one of them records."""
    moved = 0
    for _ in range(10):
        moved += installation.do(
            "UPDATE jobs_job SET lease_until = lease_until - interval '1 hour' WHERE state = 'running' AND id > %s",
            load.after,
        )
        time.sleep(1)
    load.ended()
    assert moved > 0
    assert load.count("attempts > 1") > 0


def test_a_poison_job_that_kills_its_worker(installation):
    load = installation.load(jobs=JOBS, trainings=TRAININGS, generations=GENERATIONS, poison=2)
    told = load.ended(failed=[("test.poisoned", "jobs.errors.LeaseExpired")])
    assert told["states"] == {"done": told["states"]["done"], "failed": 2}
    assert load.count("state = 'failed' AND attempts = max_attempts AND alone") == 2


def test_two_beats_at_once(installation, load):
    """With a schedule that both of them send, and a worker killed whose leases both of them see expire."""
    installation.call("schedule_sweeps")
    installation.beats.append(installation.start(*beat_command()))
    for number in range(3):
        load.until("state = 'done'", count=number * JOBS // 10)
        victim = installation.busy()[0]
        installation.workers.remove(victim)
        kill_group(victim)
        installation.workers.append(installation.start_worker())
    load.ended()
    assert [beat.poll() for beat in installation.beats] == [None, None]
    kill_group(installation.beats.pop())
