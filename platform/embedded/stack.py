"""The embedded servers together: up, down, status, and the record of where they are.

The record, `stack.json`, is what programs read to find the servers. It says nothing that cannot be found again: secrets
stand beside each server's data, and whether a server lives is learned by talking to it, never from the record.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from filelock import FileLock, Timeout

from embedded import processes, unprivileged
from embedded.errors import StackError
from embedded.ports import HOST, free_port
from embedded.postgres import Postgres
from embedded.redis import Redis
from embedded.s3 import S3
from embedded.server import NotReadyYet, Server, ServerStatus, make_folder
from embedded.state import read_json, write_json

_SERVERS: tuple[type[Server], ...] = (Postgres, Redis, S3)
ALL = frozenset(server.name for server in _SERVERS)

_LOCK_SECONDS = 180
_ATTEMPTS = 4
_HUNG_SECONDS = 20.0
_RECOVERY_SECONDS = 600.0


@dataclass(frozen=True)
class Endpoints:
    """Where the servers are and what opens them. Empty strings for a server that was not asked for."""

    database_url: str = ""
    broker_url: str = ""
    s3_endpoint: str = ""
    s3_access_key: str = ""
    s3_secret_key: str = ""


def up(root: Path, *, durable: bool = True, only: Collection[str] = ALL) -> Endpoints:
    """Bring the servers up with their data under `root`, healing what kills have left; return where they are.

    Those that answer are left alone, so this is quick when all is well, and safe to call from many processes at once.

    Args:
        durable: False gives up the safety of the data against a crash of the machine, for tests.
        only: Names of the servers wanted, of "postgres", "redis" and "s3".

    Raises:
        StackError: A server cannot be had; says which, why and what to do.
    """
    root = root.absolute()
    # Root's folder lets others pass through, though not look around: PostgreSQL runs as another user then.
    make_folder(root, mode=0o711 if os.geteuid() == 0 else 0o700)
    with _lock(root):
        record = _Record.read(root)
        servers = [server for server in _servers(root, durable=durable) if server.name in only]
        started = []
        try:
            for server in servers:
                if not _is_well(server, record):
                    server.stop()
                    server.prepare()
                    started.append(server)
            for server in started:
                _start(server, record)
            for server in started:
                _finish_start(server, record)
        except PermissionError as error:
            raise StackError(
                f"{error.filename or root} may not be used by this user. Run this as the user who made {root}, or "
                f"as root, or remove {root} if its data may go."
            ) from error
        except OSError as error:
            raise StackError(
                f"The embedded servers' data in {root} could not be used: {error.strerror or error} "
                f"({error.filename or root}). If the disk is full, make room and try again."
            ) from error
        if started or not record.is_complete(servers):
            record.write(servers)
        return record.endpoints


def down(root: Path) -> list[str]:
    """Stop the servers under `root`, found by their data, with or without a record; return the titles of those stopped.

    Raises:
        StackError: A server belongs to another user, or does not end.
    """
    root = root.absolute()
    if not root.is_dir():
        # The folder was removed from under its servers; they are still known by where it was.
        return [server.title for server in _servers(root) if server.stop()]
    with _lock(root):
        return [server.title for server in _servers(root) if server.stop()]


def erase(root: Path) -> None:
    """Stop the servers and remove all of their data, also what had to be kept outside of `root`."""
    root = root.absolute()
    down(root)
    if root.is_dir():
        with _lock(root):
            (root / "stack.json").unlink(missing_ok=True)
            for folder in (*root.glob("postgres.new.*"), *(root / name for name in sorted(ALL))):
                unprivileged.remove(folder)


def status(root: Path) -> list[ServerStatus]:
    """How each server is, found by talking to it; changes nothing."""
    root = root.absolute()
    record = _Record.read(root)
    return [_status_of(server, record) for server in _servers(root)]


def recorded(root: Path) -> Endpoints | None:
    """Where the servers were when last brought up; None if they never were. Opens no connection.

    Raises:
        StackError: The record is another user's.
    """
    record = _Record.read(root.absolute())
    return record.endpoints if record.endpoints != Endpoints() else None


@dataclass
class _Record:
    """The content of stack.json."""

    path: Path
    endpoints: Endpoints
    ports: dict[str, int]
    pids: dict[str, int]

    @classmethod
    def read(cls, root: Path) -> _Record:
        path = root / "stack.json"
        try:
            value = read_json(path) or {}
        except PermissionError as error:
            raise StackError(
                f"{path} is readable by another user alone. Run this as the user who brought the servers up."
            ) from error
        stored = value.get("endpoints")
        names = {field.name for field in fields(Endpoints)}
        endpoints = {k: v for k, v in stored.items() if k in names} if isinstance(stored, dict) else {}
        return cls(path, Endpoints(**endpoints), _numbers(value.get("ports")), _numbers(value.get("pids")))

    def note(self, server: Server) -> None:
        self.endpoints = Endpoints(**{**asdict(self.endpoints), **server.endpoint(self.ports[server.name])})

    def is_complete(self, servers: list[Server]) -> bool:
        before = self.endpoints
        for server in servers:
            self.note(server)
        return before == self.endpoints

    def write(self, servers: list[Server]) -> None:
        for server in servers:
            self.note(server)
        write_json(self.path, {"endpoints": asdict(self.endpoints), "ports": self.ports, "pids": self.pids})


def _numbers(value: object) -> dict[str, int]:
    items = value.items() if isinstance(value, dict) else ()
    return {str(name): number for name, number in items if isinstance(number, int) and name in ALL}


def _servers(root: Path, *, durable: bool = True) -> list[Server]:
    return [make(root, durable=durable) for make in _SERVERS]


def _lock(root: Path) -> FileLock:
    lock = FileLock(root / "stack.lock", timeout=_LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout as error:
        raise StackError(
            f"Another process has been starting or stopping the servers in {root} for {_LOCK_SECONDS} s. Look what it "
            f"is (fuser {root / 'stack.lock'}), end it and try again."
        ) from error
    except PermissionError as error:
        raise StackError(
            f"{root} belongs to another user. Run this as that user or as root, or remove {root} if its data may go."
        ) from error
    return lock


def _is_well(server: Server, record: _Record) -> bool:
    """True if the recorded server lives, is ours and answers; one that is just busy or recovering is waited for."""
    port, pid = record.ports.get(server.name), record.pids.get(server.name)
    if port is None or pid is None or server.running(pid) != [pid]:
        return False
    return _wait_for_answer(server, pid, port, patience_seconds=_HUNG_SECONDS)


def _start(server: Server, record: _Record) -> None:
    server.before_start()
    port = free_port(record.ports.get(server.name))
    record.ports[server.name] = port
    record.pids[server.name] = server.start(port)


def _finish_start(server: Server, record: _Record) -> None:
    """Wait until a started server answers; one that ends at once is healed and started again on another port."""
    for _ in range(_ATTEMPTS):
        port, pid = record.ports[server.name], record.pids[server.name]
        if _wait_for_answer(server, pid, port, patience_seconds=server.start_seconds):
            server.after_start(port)
            return
        if processes.is_alive(pid):
            server.stop()
            break
        # Somebody may have taken the port between the look and the start.
        del record.ports[server.name]
        server.heal()
        _start(server, record)
    raise StackError(
        f"{server.title} does not start on {HOST}:{record.ports.get(server.name)}. The end of its log, {server.log}:\n"
        f"{server.last_words()}"
    )


def _wait_for_answer(server: Server, pid: int, port: int, *, patience_seconds: float) -> bool:
    """True once the server answers; False if it is dead, or silent for longer than `patience_seconds`."""
    begun = time.monotonic()
    pause = 0.01
    while True:
        patience = patience_seconds
        try:
            if server.answers(port):
                return True
        except NotReadyYet:
            patience = _RECOVERY_SECONDS
        if not processes.is_alive(pid) or time.monotonic() - begun > patience:
            return False
        time.sleep(pause)
        pause = min(pause * 1.3, 0.2)


def _status_of(server: Server, record: _Record) -> ServerStatus:
    port = record.ports.get(server.name)
    pids = server.running(record.pids.get(server.name))
    address = f"{HOST}:{port}" if port else ""

    def found(running: bool, detail: str) -> ServerStatus:
        return ServerStatus(server.name, server.title, running, pids[0] if pids else None, address, detail)

    if not server.folder.exists():
        return found(False, "never started")
    if not pids:
        return found(False, "stopped")
    try:
        well = port is not None and server.answers(port)
    except NotReadyYet:
        return found(False, "starting or recovering")
    except PermissionError:
        return found(False, "runs, but its data is another user's")
    return found(well, "running" if well else f"runs, but does not answer; see {server.log}")
