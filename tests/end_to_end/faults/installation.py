"""An installation whose servers and workers are there to be broken: servers, four workers and beat, all of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict

import psutil
import psycopg

from embedded import stack
from jobs.local import beat_command, worker_command
from tests.jobs.conftest import kill_group, until
from tests.servers import REPOSITORY, python_path

WORKERS = 4
QUEUES = ("cpu", "model", "training")
# How long a load may take on a busy machine.
PATIENCE_SECONDS = 400
# A process whose clock jumps by minutes, back and forth, every second; what measures time from a start is left alone.
_JUMPING = """
import datetime, sys, time
real = time.time
def jumping():
    return real() + (0, 300, -300)[int(time.monotonic()) % 3]
time.time = jumping
class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(jumping(), tz)
    @classmethod
    def utcnow(cls):
        return cls.fromtimestamp(jumping(), datetime.timezone.utc).replace(tzinfo=None)
datetime.datetime = Jumping
from celery.__main__ import main
sys.exit(main())
"""
_ANSWER = "import django; django.setup(); from tests.end_to_end.faults.work import main; main()"


class Installation:
    """Below `folder`; `temporary` is where its processes write their temporary files."""

    def __init__(self, folder, *, temporary):
        self.folder = folder
        self.root = folder / "servers"
        self.workers = []
        self.beats = []
        self._started = 0
        endpoints = asdict(stack.up(self.root, durable=False))
        self._database_url = endpoints["database_url"]
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("S3_", "LAMPPOST_TEST"))},
            **{name.upper(): value for name, value in endpoints.items()},
            "DJANGO_SETTINGS_MODULE": "tests.end_to_end.faults.settings",
            "LAMPPOST_VAR": str(folder / "var"),
            "PYTHONPATH": python_path(),
            "TMPDIR": str(temporary),
            "OMP_NUM_THREADS": "1",
        }
        self._console = None
        self._run("manage.py", "migrate", "--verbosity", "0")
        self.call("prepare")

    # -- its servers

    def kill(self, server, *, how=signal.SIGKILL):
        """Send the signal to a server, and wait until it is gone."""
        [pid] = [found.pid for found in stack.status(self.root) if found.name == server]
        process = psutil.Process(pid)
        process.send_signal(how)
        with suppress(psutil.NoSuchProcess):
            process.wait(60)

    def revive(self):
        """Bring up whatever of the servers is down, where it was."""
        stack.up(self.root, durable=False)

    # -- its processes

    def staff(self):
        """Beat and four workers that live, in place of those that have ended."""
        self.beats = [beat for beat in self.beats if beat.poll() is None] or [self.start(*beat_command())]
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < WORKERS:
            self.workers.append(self.start_worker())
        self.until_heard(WORKERS)

    def start_worker(self, *, jumping=False):
        """One more worker, of every queue."""
        command = worker_command(queues=QUEUES, concurrency=1, name=f"worker{self._started}")
        return self.start(*([sys.executable, "-c", _JUMPING, *command[3:]] if jumping else command))

    def busy(self):
        """The workers that hold a job, once there are any."""
        holding = (
            "SELECT DISTINCT w.pid FROM jobs_worker w JOIN jobs_job j ON j.worker_id = w.id WHERE state = 'running'"
        )

        def found():
            pids = {pid for (pid,) in self.ask(holding)}
            return [worker for worker in self.workers if worker.pid in pids]

        return until(found, seconds=180)

    def until_heard(self, count):
        """Wait until so many workers have said that they live."""
        alive = "SELECT count(*) FROM jobs_worker WHERE stopped_at IS NULL AND heartbeat_at > now() - interval '3 s'"
        until(lambda: self.ask(alive)[0][0] >= count, seconds=180)

    def start(self, *command):
        """Start a process in a session of its own."""
        log = self.folder / "var" / f"process{self._started}.log"
        log.parent.mkdir(exist_ok=True)
        self._started += 1
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=REPOSITORY,
                env=self._environment,
            )
        process.log = log
        return process

    def dismiss(self):
        """SIGTERM to all workers at once; for how many seconds the last of them went on."""
        began = time.monotonic()
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait(60)
        self.workers = []
        return time.monotonic() - began

    def end(self):
        """End everything."""
        for process in (*self.workers, *self.beats, *([self._console] if self._console else [])):
            kill_group(process)
        stack.down(self.root)

    # -- what it holds

    def ask(self, question, *values):
        """The rows of a query."""
        with psycopg.connect(self._database_url, autocommit=True, connect_timeout=10) as asked:
            return asked.execute(question, values).fetchall()

    def do(self, statement, *values):
        """How many rows a statement has changed."""
        with psycopg.connect(self._database_url, autocommit=True, connect_timeout=10) as asked:
            return asked.execute(statement, values).rowcount

    def call(self, name, **arguments):
        """Call a function of `work` in a process that has this installation's Django."""
        said = self.folder / "console.log"
        if self._console is None:
            with said.open("wb") as output:
                self._console = subprocess.Popen(
                    [sys.executable, "-c", _ANSWER],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=output,
                    start_new_session=True,
                    text=True,
                    cwd=REPOSITORY,
                    env=self._environment,
                )
        print(json.dumps({"name": name, "arguments": arguments}), file=self._console.stdin, flush=True)
        answer = self._console.stdout.readline()
        assert answer, said.read_text()[-3000:]
        return json.loads(answer)

    def load(self, **told):
        """Ask for a load of mixed jobs (see `work.ask`)."""
        return Load(self, after=self.call("ask", **told))

    def _run(self, *command):
        subprocess.run([sys.executable, *command], cwd=REPOSITORY, env=self._environment, check=True)


class Load:
    """The jobs that were asked for after a certain one."""

    def __init__(self, installation, *, after):
        self._installation = installation
        self.after = after

    def count(self, condition):
        """How many of its jobs a condition on `jobs_job` holds of; None while the database is away."""
        question = f"SELECT count(*) FROM jobs_job WHERE id > %s AND ({condition})"
        try:
            return self._installation.ask(question, self.after)[0][0]
        except psycopg.OperationalError:
            return None

    def until(self, condition, *, count=1, seconds=PATIENCE_SECONDS):
        """Wait until a condition holds of so many of its jobs."""
        until(lambda: (self.count(condition) or 0) >= count, seconds=seconds)

    def ended(self, *, failed=()):
        """Wait until no job is left, and see that each was done once; `failed` are kinds and errors of others."""
        until(lambda: self.count("state IN ('waiting', 'running')") == 0, seconds=PATIENCE_SECONDS)
        told = self._installation.call("told", after=self.after)
        assert told["errors"] == [list(one) for one in failed]
        assert told["states"].keys() == {"done", *(["failed"] if failed else [])}
        assert told["effects"] == told["of_tests"]
        assert told["answers"] == told["asked"] > 0
        assert told["loaded"] == told["wanted"]
        assert told["wanted"]
        return told
