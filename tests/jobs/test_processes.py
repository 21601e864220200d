"""Real Celery workers: gentle stops, lost bells, workers that a command brings along."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from celery import current_app

from embedded import stack
from jobs import claims, kinds, selectors
from jobs.hearing import Hearing
from jobs.local import WorkersDidNotStart, beat_command, local_workers, worker_command
from jobs.models import Job, Worker
from jobs.services import JobSpec, enqueue_many, sweep
from jobs.waiting import NoLiveWorker, TookTooLong, wait_for
from tests.jobs import handlers
from tests.jobs.conftest import COMMITTED, ROOT, expire_leases, fresh, put, until, worker_environment
from tests.processes import kill_all, lives

pytestmark = COMMITTED

# A worker takes seconds to start, and many of them where others start, train and answer on the same two cores.
PATIENCE = 120.0

POOLS = ["prefork", pytest.param("solo", marks=pytest.mark.long), pytest.param("threads", marks=pytest.mark.long)]


@pytest.fixture(autouse=True)
def kinds_known():
    handlers.register_kinds()


@pytest.mark.parametrize("pool", POOLS)
def test_a_gentle_stop_gives_long_work_back(effects, start_worker, broker, pool):
    """The jobs were enqueued and their bell lost before the worker came: it rings itself at its start."""
    job = put("test.slow", payload={"seconds": 60})
    broker.flushdb()
    process = start_worker(queues=["cpu"], pool=pool)
    until(lambda: fresh(job).state == "running", seconds=PATIENCE)
    assert until(lambda: selectors.live_workers("cpu").first(), seconds=PATIENCE) == fresh(job).worker
    process.terminate()
    assert process.wait(60) == 0
    stored = fresh(job)
    assert (stored.state, stored.attempts, effects()) == ("waiting", 0, [])
    assert Worker.objects.get().stopped_at is not None


@pytest.mark.long
@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
def test_a_gentle_stop_lets_quick_work_end(effects, start_worker, pool):
    process = start_worker(queues=["cpu"], pool=pool)
    job = put("test.stubborn", payload={"seconds": 2})
    until(lambda: fresh(job).state == "running", seconds=PATIENCE)
    process.terminate()
    assert process.wait(60) == 0
    assert (fresh(job).state, effects()) == ("done", [job.pk])


@pytest.mark.long
@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
def test_a_handler_that_never_looks_up_loses_its_claim_in_time(effects, start_worker, pool):
    """It is given back after JOBS_STOP_FORCE_SECONDS (5 s here), so another worker need not wait for its lease; and its
    worker ends soon after, however long it would go on."""
    process = start_worker(queues=["cpu"], pool=pool)
    job = put("test.stubborn", payload={"seconds": 600})
    until(lambda: fresh(job).state == "running", seconds=PATIENCE)
    process.terminate()
    # Its lease would be of a minute from the last beat.
    until(lambda: fresh(job).state == "waiting", seconds=30)
    process.wait(60)
    assert (fresh(job).attempts, effects()) == (0, [])


@pytest.mark.long
def test_pool_processes_do_not_outlive_a_worker_that_was_killed(effects, start_worker):
    process = start_worker(queues=["cpu"])
    job = put("test.slow", payload={"seconds": 60})
    until(lambda: fresh(job).state == "running", seconds=PATIENCE)
    pool = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    until(lambda: not any(lives(child) for child in pool), seconds=60)
    expire_leases()
    assert sweep().taken_back == 1


def test_a_command_brings_its_own_workers_along(effects, tmp_path, settings):
    before = set(psutil.Process().children())
    with local_workers(concurrency=2, log_dir=tmp_path, environment=worker_environment(settings)) as started:
        assert started
        [supervisor] = set(psutil.Process().children()) - before
        ours = [supervisor, *supervisor.children(recursive=True)]
        enqueue_many(JobSpec(kind="test.batch", origin="run:1") for _ in range(20))
        looks = []
        ended = wait_for(origin="run:1", on_progress=lambda counts, running: looks.append(counts), poll_seconds=0.05)
        with local_workers() as again:
            assert not again
    assert (ended.done, ended.total, len(effects())) == (20, 20, 20)
    assert looks[-1] == ended
    assert not any(lives(process) for process in ours)


@pytest.mark.long
def test_a_command_s_own_workers_are_started_again_when_they_are_killed(effects, tmp_path, settings):
    before = set(psutil.Process().children())
    with local_workers(concurrency=1, log_dir=tmp_path, environment=worker_environment(settings)):
        [supervisor] = set(psutil.Process().children()) - before
        first = set(selectors.live_workers("cpu").values_list("id", flat=True))
        kill_all(supervisor.children(recursive=True))
        # They look alive for fifteen seconds.
        until(lambda: set(selectors.live_workers("cpu").values_list("id", flat=True)) - first, seconds=PATIENCE)
        job = put("test.record")
        until(lambda: fresh(job).state == "done", seconds=PATIENCE)


@pytest.mark.long
def test_workers_end_with_a_command_that_was_killed(tmp_path, settings):
    script = (
        "import django, time; django.setup()\n"
        "from pathlib import Path\n"
        "from jobs.local import local_workers\n"
        f"with local_workers(log_dir=Path({str(tmp_path)!r})):\n"
        "    print('started', flush=True); time.sleep(600)\n"
    )
    command = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT, env=worker_environment(settings)
    )
    assert command.stdout.readline().strip() == b"started"
    ours = psutil.Process(command.pid).children(recursive=True)
    assert len(ours) >= 4  # the supervisor, beat, the worker and its pool
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
    until(lambda: not any(lives(child) for child in ours), seconds=60)


@pytest.mark.long
def test_beat_sweeps_by_itself(start_process, start_worker, broker, effects):
    start_process(*beat_command())
    start_worker(queues=["cpu"])
    until(lambda: selectors.live_workers("cpu").exists(), seconds=PATIENCE)
    job = put("test.record")
    broker.flushdb()
    until(lambda: fresh(job).state == "done", seconds=PATIENCE)


def test_waiting_for_jobs_that_nobody_runs_ends_with_words():
    put("test.record", origin="run:1")
    with pytest.raises(NoLiveWorker, match="make serve"):
        wait_for(origin="run:1", poll_seconds=0.01, no_worker_seconds=0.05)


def test_waiting_has_an_end():
    job = put("test.record")
    with pytest.raises(TookTooLong):
        wait_for(ids=[job.pk], poll_seconds=0.01, timeout=0.05)


def test_waiting_for_nothing_is_over_at_once():
    began = time.monotonic()
    assert wait_for(ids=[]).total == 0
    assert time.monotonic() - began < 1


def test_running_jobs_are_shown_while_waiting(effects):
    job = put("test.record", origin="run:1")
    claims.claim(kinds.get("test.record"))
    shown = []

    def look(counts, running):
        shown.append((counts.running, [job.pk for job in running]))
        Job.objects.all().delete()

    wait_for(origin="run:1", on_progress=look, poll_seconds=0.01)
    assert shown[0] == (1, [job.pk])


@pytest.mark.long
def test_the_log_of_a_worker_holds_what_went_wrong(tmp_path, settings):
    environment = worker_environment(settings) | {"DATABASE_URL": "not a url"}
    with (
        pytest.raises(WorkersDidNotStart, match="says why"),
        local_workers(log_dir=tmp_path, environment=environment),
    ):
        pass
    assert "Traceback" in next(Path(tmp_path).iterdir()).read_text()


@pytest.fixture
def own_broker(settings, tmp_path):
    """A Redis of one test, for the workers and beat that it starts: `kill()` it, and bring it `up()` again."""

    class OwnBroker:
        root = tmp_path / "broker"

        def up(self):
            return stack.up(self.root, durable=False, only={"redis"}).broker_url

        def kill(self):
            os.kill(next(server.pid for server in stack.status(self.root) if server.name == "redis"), signal.SIGKILL)

    # This process goes on ringing at the session's: Celery reads its options once, now at the latest.
    assert current_app.conf.broker_write_url == settings.BROKER_URL
    broker = OwnBroker()
    settings.BROKER_URL = broker.up()
    yield broker
    stack.erase(broker.root)


@pytest.mark.long
@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
def test_a_worker_hears_again_after_its_broker_was_away(effects, own_broker, start_process, start_worker, pool):
    """Redis is killed while every process of the worker is busy with a bell; what its jobs do needs no broker."""
    start_process(*beat_command())
    worker = start_worker(concurrency=2, pool=pool)
    jobs = enqueue_many(JobSpec(kind="test.slow", payload={"seconds": 1}) for _ in range(16))
    until(lambda: len(effects()) >= 2, seconds=PATIENCE)
    own_broker.kill()
    time.sleep(10)
    assert len(effects()) < 16
    own_broker.up()
    until(lambda: len(effects()) == 16, seconds=PATIENCE)
    assert sorted(effects()) == sorted(jobs)
    assert worker.poll() is None


@pytest.mark.long
def test_a_command_waits_on_while_the_broker_is_away(effects, own_broker, tmp_path, settings):
    """Its own workers do every job, those too that are enqueued meanwhile."""
    with local_workers(log_dir=tmp_path, environment=worker_environment(settings)) as started:
        assert started
        enqueue_many(JobSpec(kind="test.slow", payload={"seconds": 1}, origin="run:1") for _ in range(8))
        until(lambda: effects(), seconds=PATIENCE)
        own_broker.kill()
        enqueue_many(JobSpec(kind="test.slow", payload={"seconds": 1}, origin="run:1") for _ in range(4))
        threading.Timer(10, own_broker.up).start()
        ended = wait_for(origin="run:1", poll_seconds=0.1, timeout=PATIENCE)
    assert (ended.done, ended.total, len(effects())) == (12, 12, 12)


@pytest.mark.long
def test_a_deaf_worker_stops_and_does_not_count_as_live(effects, start_process, start_worker):
    """Its consumer takes no bell; its heart alone would go on for ever."""
    deaf = "from kombu.transport import virtual; virtual.QoS.can_consume = lambda self: False"
    run = "from celery.__main__ import main; sys.exit(main())"
    arguments = worker_command(queues=["cpu"], concurrency=1, name="deaf")[3:]
    worker = start_process(sys.executable, "-c", f"import sys; {deaf}; {run}", *arguments)
    put("test.record")
    until(lambda: selectors.live_workers("cpu").exists(), seconds=PATIENCE)
    until(lambda: not selectors.live_workers("cpu").exists(), seconds=PATIENCE)
    worker.wait(60)
    assert "hears no bell" in worker.log.read_text()
    start_worker(queues=["cpu"])
    until(lambda: len(effects()) == 1, seconds=PATIENCE)


def test_a_worker_is_deaf_only_where_the_broker_takes_its_bells_and_none_arrives():
    sent, busy = [1], [False]
    hearing = Hearing(busy=lambda: busy[0], ring=lambda: sent[0], look_seconds=0)
    assert [hearing.is_deaf() for _ in range(5)] == [False] * 4 + [True]
    hearing.heard()
    assert not hearing.is_deaf()
    sent[0] = 0  # nothing waits, or the broker is away
    assert not any(hearing.is_deaf() for _ in range(10))
    sent[0], busy[0] = 1, True
    assert not any(hearing.is_deaf() for _ in range(10))
