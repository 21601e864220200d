"""Workers of a command's own, where nobody else serves its queues.

`import_lamp`, `run_experiment` and the demo enqueue their work and wait for it. On a machine where no worker runs
(no `make serve`, no worker container) they bring a worker and beat along for as long as they live themselves.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from common.logs.formats import JSON
from jobs import conf, selectors
from jobs.kinds import MODEL_QUEUES, QUEUES

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.2
_LOOK_SECONDS: Final = 1.0
# After a start until the next is thought of; it doubles each time.
_RESTART_SECONDS: Final = 5.0
_RESTART_SECONDS_AT_MOST: Final = 60.0


class WorkersDidNotStart(RuntimeError):
    """The worker ended, or did not report in time; its log says why."""

    safe_message = True


@contextmanager
def local_workers(
    *,
    concurrency: int = 2,
    queues: Sequence[str] = QUEUES,
    log_dir: Path | None = None,
    environment: Mapping[str, str] | None = None,
    pool_for_models: str | None = None,
    start_timeout: float = 90.0,
) -> Iterator[bool]:
    """Make sure that live workers serve `queues` within the block; yields whether it had to start one.

    Started processes log to `log_dir` (by default VAR_DIR/log), end gently with the block, and end as well when this
    process is killed. Whenever nobody serves the queues within the block, they are started (again). `environment` is
    added to this process's; the pool for the models follows MODEL_DEVICE where it is not given. Raises
    WorkersDidNotStart.
    """
    missing = selectors.unserved_queues(queues)
    folder = Path(log_dir) if log_dir is not None else Path(settings.VAR_DIR) / "log"
    processes = _OwnWorkers(
        queues,
        concurrency=concurrency,
        pool=pool_for_models or model_pool(settings.MODEL_DEVICE),
        log=folder / f"local-workers-{os.getpid()}.log",
        environment=environment or {},
    )
    try:
        if missing:
            supervisor = processes.start(missing)
            _wait_until_live(missing, supervisor, log=processes.log, timeout=start_timeout)
        processes.tend()
        yield bool(missing)
    finally:
        processes.stop()


def worker_command(*, queues: Sequence[str], concurrency: int, pool: str = "prefork", name: str = "local") -> list[str]:
    """The command line of a Celery worker as this project runs it."""
    return [
        *(*_celery(), "worker"),
        *("--queues", ",".join(queues), "--concurrency", str(concurrency), "--pool", pool),
        *("--hostname", f"{name}@%h", "--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]


def model_pool(device: str) -> str:
    """The pool of workers whose models are on `device`.

    CUDA cannot be used in a forked process, so a GPU's worker does its work itself, one process a GPU.
    """
    return "prefork" if device == "cpu" else "solo"


def beat_command() -> list[str]:
    """The command line of Celery beat as this project runs it; its process also sweeps."""
    return [*_celery(), "beat", "--pidfile="]


def _celery() -> list[str]:
    """Celery with this project's app. Where programs read the log, without the banner, which is none of its lines."""
    quiet = ["--quiet"] if settings.LOG_FORMAT == JSON else []
    return [sys.executable, "-m", "celery", "-A", "config", *quiet]


def stop_seconds() -> float:
    """How long a worker may take to stop gently before it is stopped by force."""
    return conf.seconds("JOBS_STOP_FORCE_SECONDS") + 5.0


class _OwnWorkers:
    """A worker and beat under one supervisor, from when they are needed until the command ends.

    They are started again whenever they end before that. Where others served the queues at first, they are started
    when those have gone: a worker that was killed looks alive for some seconds.
    """

    def __init__(
        self, queues: Sequence[str], *, concurrency: int, pool: str, log: Path, environment: Mapping[str, str]
    ) -> None:
        self.log = log
        self._queues = tuple(queues)
        self._concurrency, self._pool, self._environment = concurrency, pool, environment
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._told_to_stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="local-workers", daemon=True)

    def start(self, queues: Sequence[str]) -> "subprocess.Popen[bytes]":
        """Start them for `queues`; again, where they have ended."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        commands = _worker_commands(queues, concurrency=self._concurrency, pool=self._pool)
        with self.log.open("ab") as output:
            self._supervisor = _start([*commands, beat_command()], output=output, environment=self._environment)
        return self._supervisor

    def tend(self) -> None:
        """Begin to watch over the queues."""
        self._thread.start()

    def stop(self) -> None:
        """End them gently."""
        self._told_to_stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._supervisor is not None:
            _stop(self._supervisor)

    def _watch(self) -> None:
        pause = _RESTART_SECONDS
        while not self._told_to_stop.wait(_LOOK_SECONDS):
            if self._supervisor is not None and self._supervisor.poll() is None:
                continue
            missing = self._unserved()
            if not missing:
                continue
            logger.warning("nobody serves the queues any more: a worker is started; %s says more", self.log)
            self.start(missing)
            if self._told_to_stop.wait(pause):
                return
            pause = min(2 * pause, _RESTART_SECONDS_AT_MOST)

    def _unserved(self) -> list[str]:
        try:
            return list(selectors.unserved_queues(self._queues))
        except (DatabaseError, InterfaceError):
            return []  # it may be away for a moment; looked at again soon
        finally:
            connection.close()


def _worker_commands(queues: Sequence[str], *, concurrency: int, pool: str) -> list[list[str]]:
    """One worker for all queues; where the pool for the models is another than the rest's, they have their own."""
    name = f"local-{os.getpid()}"
    of_models = [queue for queue in queues if queue in MODEL_QUEUES]
    if pool == "prefork" or not of_models:
        return [worker_command(queues=queues, concurrency=concurrency, name=name)]
    others = [queue for queue in queues if queue not in MODEL_QUEUES]
    for_models = worker_command(queues=of_models, concurrency=1, pool=pool, name=f"{name}-model")
    return [for_models, *([worker_command(queues=others, concurrency=concurrency, name=name)] if others else [])]


def _start(
    commands: Sequence[Sequence[str]], *, output: IO[bytes], environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    supervised = [part for command in commands for part in ("--", *command)]
    defaults = {"DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "config.settings")}
    return subprocess.Popen(  # noqa: S603 - our own command line
        [*(sys.executable, "-m", "jobs.supervisor", "--grace", str(stop_seconds())), *supervised],
        # The lifeline: it closes when this process ends, however that happens.
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**defaults, **os.environ, **environment},
    )


def _wait_until_live(
    queues: Sequence[str], supervisor: "subprocess.Popen[bytes]", *, log: Path, timeout: float
) -> None:
    until = time.monotonic() + timeout
    while selectors.unserved_queues(queues):
        if supervisor.poll() is not None:
            raise WorkersDidNotStart(f"the worker ended as soon as it was started; {log} says why")
        if time.monotonic() > until:
            raise WorkersDidNotStart(f"the worker did not report within {timeout:.0f} s; {log} says why")
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        time.sleep(_POLL_SECONDS)


def _stop(supervisor: "subprocess.Popen[bytes]") -> None:
    if supervisor.stdin is not None:
        supervisor.stdin.close()
    try:
        supervisor.wait(stop_seconds() + 10.0)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
