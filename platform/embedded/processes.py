"""Starting servers that outlive their starter, and finding and ending them again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from embedded.errors import StackError

_LOG_LIMIT_BYTES = 10 * 1024 * 1024

# Servers get this and nothing else: a PGPORT or an RCLONE_CONFIG of the caller's shell must not reach them.
_KEPT_VARIABLES = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


@dataclass(frozen=True)
class Owner:
    """The operating-system user that a server runs as."""

    uid: int
    gid: int

    @classmethod
    def of(cls, path: Path) -> Owner:
        """Who owns `path`, followed if it is a link."""
        stat = path.stat()
        return cls(stat.st_uid, stat.st_gid)

    @property
    def is_me(self) -> bool:
        return self.uid == os.geteuid()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {"LC_ALL": "C", "TZ": "UTC", **kept, **(extra or {})}


def run_as(
    owner: Owner, argv: Sequence[str], *, cwd: Path, timeout_seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a short command as `owner` to its end; its output is captured, its exit status is the caller's to judge."""
    return subprocess.run(  # noqa: S603 (our own argument lists)
        argv, cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", check=False, timeout=timeout_seconds, **_identity(owner),
    )  # fmt: skip


def spawn(
    owner: Owner, argv: Sequence[str], *, cwd: Path, log: Path, extra_environment: Mapping[str, str] | None = None
) -> int:
    """Start a server in a session of its own, as nobody's child, with its output in `log`; return its process id.

    A shell in between starts it and ends, so that the server is adopted by the system at once: it survives the
    starter, gets no signal of the starter's terminal, and never waits as a zombie for a parent that does not look.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_name(log.name + ".1"))
    with log.open("ab") as output:
        shell = subprocess.run(  # noqa: S603 (our own argument lists)
            ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", *argv],
            cwd=cwd, env=environment(extra_environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=output, text=True, check=True, start_new_session=True, umask=0o077, **_identity(owner),
        )  # fmt: skip
    return int(shell.stdout)


def _identity(owner: Owner) -> dict[str, Any]:
    return {} if owner.is_me else {"user": owner.uid, "group": owner.gid, "extra_groups": []}


def is_alive(pid: int) -> bool:
    """True for a process that can still do something: a zombie cannot."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def stands_in(process: psutil.Process, *folders: Path) -> bool:
    """True if `process` works in one of `folders` or below, be they still there or removed from under it."""
    place = _working_folder(process)
    if place is None:
        return False
    for folder in folders:
        if place.is_relative_to(folder.resolve()):
            return True
        if any(is_same_folder(above, folder) for above in (place, *place.parents)):
            return True
    return False


def is_same_folder(path: Path, other: Path) -> bool:
    """True if both are the same existing folder, whatever names lead there."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def _working_folder(process: psutil.Process) -> Path | None:
    """Where `process` stands, or None where the system does not tell (it is another user's)."""
    try:
        return Path(process.cwd())
    except (psutil.Error, OSError):
        return None


def named(names: Iterable[str]) -> list[psutil.Process]:
    """Living processes by the name of their program."""
    wanted = set(names)
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() in wanted and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def command_line_of(pid: int) -> list[str]:
    try:
        return command_line(psutil.Process(pid))
    except psutil.Error:
        return []


def end(pids: Iterable[int], *, gently: Sequence[tuple[signal.Signals, float]]) -> None:
    """End processes: each signal with the seconds it is given to work, SIGKILL after the last.

    Raises:
        StackError: They belong to another user.
    """
    left = [pid for pid in pids if is_alive(pid)]
    for number, seconds in (*gently, (signal.SIGKILL, 10.0)):
        for pid in left:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
            except PermissionError as error:
                raise StackError(
                    f"Process {pid} belongs to another user. Run this as the user who started the servers, or as root."
                ) from error
        wait_until(lambda: not any(is_alive(pid) for pid in left), seconds=seconds)  # noqa: B023 (called at once)
        left = [pid for pid in left if is_alive(pid)]
        if not left:
            return
    raise StackError(f"Processes {left} do not end even by SIGKILL; the machine's disk may hang.")


def wait_until(condition: Callable[[], bool], *, seconds: float, every: float = 0.01) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
