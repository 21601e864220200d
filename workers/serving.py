"""Running the web server, workers and beat side by side on one machine: what `manage.py serve` does.

Each part has a supervisor of its own (`jobs.supervisor`), which ends it when this process ends, however that happens.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_LOG_LIMIT_BYTES = 10 * 1024 * 1024
_POLL_SECONDS = 0.2
# A part that ends oftener than this is broken, and starting it again helps nobody.
_RESTARTS = 3
_RESTARTS_WITHIN_SECONDS = 60.0


class PartKeepsEnding(RuntimeError):
    """A part was started again and again and always ended."""


@dataclass(frozen=True)
class Part:
    """One of the programs that run side by side."""

    name: str
    command: Sequence[str]


@dataclass
class _Running:
    part: Part
    supervisor: subprocess.Popen[bytes]
    starts: list[float] = field(default_factory=list)


class Parts:
    """Programs that are kept running until `stop`; a context manager, so that none is left behind."""

    def __init__(self, parts: Sequence[Part], *, folder: Path, log_folder: Path, grace_seconds: float) -> None:
        self._folder = folder
        self._log_folder = log_folder
        self._grace_seconds = grace_seconds
        self._running: list[_Running] = []
        self._parts = parts

    def __enter__(self) -> Parts:
        self._log_folder.mkdir(parents=True, exist_ok=True)
        try:
            for part in self._parts:
                self._running.append(_Running(part, self._start(part), [time.monotonic()]))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def log_of(self, part: Part) -> Path:
        """Where what `part` says is written."""
        return self._log_folder / f"{part.name}.log"

    def tend(self, *, say: Callable[[str], None]) -> None:
        """Start again whatever has ended.

        Raises:
            PartKeepsEnding: That has happened too often.
        """
        for running in self._running:
            if running.supervisor.poll() is None:
                continue
            now = time.monotonic()
            running.starts = [start for start in running.starts if now - start < _RESTARTS_WITHIN_SECONDS]
            log = self.log_of(running.part)
            if len(running.starts) > _RESTARTS:
                raise PartKeepsEnding(
                    f"{running.part.name} ended {len(running.starts)} times within a minute. The end of {log}:\n"
                    f"{_end_of(log)}"
                )
            say(f"{running.part.name} has ended and is started again; {log} says why.")
            running.starts.append(now)
            running.supervisor = self._start(running.part)

    def stop(self, *, hurry: Callable[[], bool] = lambda: False) -> None:
        """End all parts at the same time, gently; by force after the grace, or as soon as `hurry` says so."""
        for running in self._running:
            if running.supervisor.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    running.supervisor.stdin.close()
        deadline = time.monotonic() + self._grace_seconds + 10.0
        while any(running.supervisor.poll() is None for running in self._running):
            if hurry() or time.monotonic() > deadline:
                self._kill()
            time.sleep(_POLL_SECONDS / 4)
        self._running = []

    def _kill(self) -> None:
        for running in self._running:
            with contextlib.suppress(psutil.NoSuchProcess):
                supervisor = psutil.Process(running.supervisor.pid)
                for process in (*supervisor.children(recursive=True), supervisor):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()

    def _start(self, part: Part) -> subprocess.Popen[bytes]:
        log = self.log_of(part)
        if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
            log.replace(log.with_name(log.name + ".1"))
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 (our own command lines)
                [
                    *(sys.executable, "-m", "jobs.supervisor", "--grace", str(self._grace_seconds)),
                    *("--", *part.command),
                ],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                # The terminal's Ctrl-C reaches this process alone, which then ends the parts in order.
                start_new_session=True,
                cwd=self._folder,
                env={**os.environ},
            )


def _end_of(log: Path, lines: int = 15) -> str:
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 8192))
        text = file.read().decode("utf-8", errors="replace")
    return "\n".join("    " + line for line in text.strip().splitlines()[-lines:])
