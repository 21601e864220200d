"""What the three servers have in common: a folder of data, a port, a process, and a way to talk to it."""

from __future__ import annotations

import contextlib
import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from embedded import processes
from embedded.errors import StackError


class NotReadyYet(Exception):
    """The server is ours and alive, and says that it is still starting."""


@dataclass(frozen=True)
class ServerStatus:
    """How a server is found to be, by talking to it."""

    name: str
    title: str
    running: bool
    pid: int | None
    address: str
    detail: str


class Server(ABC):
    """One embedded server under `root`, the folder of all data (`var/`)."""

    name: str
    title: str
    programs: Sequence[str]
    stop_signals: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 10.0),)
    start_seconds: float = 30.0

    def __init__(self, root: Path, *, durable: bool) -> None:
        self.root = root
        self.durable = durable

    @property
    def folder(self) -> Path:
        """Where the server's data and its secrets are."""
        return self.root / self.name

    @property
    def log(self) -> Path:
        return self.root / "log" / f"{self.name}.log"

    @abstractmethod
    def prepare(self) -> None:
        """Make the data folder and the secrets, unless they are there. What a killed attempt left is removed."""

    @abstractmethod
    def start(self, port: int) -> int:
        """Start the program on `port` of the loopback interface and return its process id, without waiting."""

    @abstractmethod
    def answers(self, port: int) -> bool:
        """True if the server on `port` knows our secret and serves our data.

        Raises:
            NotReadyYet: It is still starting.
        """

    @abstractmethod
    def endpoint(self, port: int) -> dict[str, str]:
        """What a client needs, as keyword arguments of Endpoints."""

    @abstractmethod
    def owns(self, process: psutil.Process) -> bool:
        """True if `process`, which bears one of our programs' names, works on our data."""

    def after_start(self, port: int) -> None:  # noqa: B027 (nothing to do is the usual case)
        """Make what clients expect to find, once the server answers."""

    def before_start(self) -> None:  # noqa: B027 (nothing to do is the usual case)
        """Clear away what a killed server left, knowing that none of our processes is alive."""

    def heal(self) -> None:  # noqa: B027 (most data is worth more than a start)
        """After a failed start: put damaged data aside, where that is safe."""

    def running(self, recorded_pid: int | None = None) -> list[int]:
        """Process ids of ours, the recorded one first looked at so that the usual case looks at one process."""
        if recorded_pid is not None and self._is_ours(recorded_pid):
            return [recorded_pid]
        return self.all_running()

    def all_running(self) -> list[int]:
        return [process.pid for process in processes.named(self.programs) if self.owns(process)]

    def _is_ours(self, pid: int) -> bool:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            return process.name() in self.programs and processes.is_alive(pid) and self.owns(process)
        return False

    def stop(self) -> bool:
        """End every process of ours, those that lead by their gentle signals first. True if there was one."""
        found = self.all_running()
        leaders = [pid for pid in found if self.leads(processes.command_line_of(pid))]
        processes.end(leaders, gently=self.stop_signals)
        processes.end(self.all_running(), gently=())
        return bool(found)

    def leads(self, command_line: Sequence[str]) -> bool:
        """True for the process that ends its helpers itself when it is asked to end."""
        return True

    def last_words(self, lines: int = 8) -> str:
        """The end of the server's log, for an error message."""
        try:
            with self.log.open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - 4096))
                text = file.read().decode("utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join("    " + line for line in text.strip().splitlines()[-lines:])


def make_folder(path: Path, *, mode: int) -> None:
    """Make `path` with `mode` whatever the umask; leave it as it is if it is there."""
    try:
        if not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(mode)
    except (FileExistsError, NotADirectoryError) as error:
        raise StackError(f"{path} is needed as a folder, but a file is in the way. Move it away.") from error
    except PermissionError as error:
        raise StackError(
            f"{path} cannot be made: permission denied. Run this as the owner of {path.parent}, or point LAMPPOST_VAR "
            f"at a folder of yours."
        ) from error
