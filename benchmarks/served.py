"""A whole Lamppost of one's own for a benchmark: `manage.py serve` on data that goes with it, spoken to over HTTP."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
START_SECONDS = 180.0
# What a machine's own servers are named by: a benchmark has its own.
_ELSEWHERE = re.compile(r"DATABASE_URL|BROKER_URL|S3_|LAMPPOST_|DJANGO_SETTINGS_MODULE")


@dataclass(frozen=True)
class Served:
    """Where it listens, and a key that may do everything."""

    port: int
    key: str
    environment: Mapping[str, str]

    def shell(self, code: str) -> str:
        """What `code` prints in Lamppost's own Python, on its data."""
        done = subprocess.run(
            [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", code],
            cwd=REPOSITORY, env=self.environment, check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return done.stdout

    def connect(self) -> "Connection":
        """A connection that is kept open, as a client's library does."""
        return Connection(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120), self.key)


@dataclass(frozen=True)
class Connection:
    """One client."""

    raw: http.client.HTTPConnection
    key: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """The status and the body of the answer."""
        sent = None if body is None else json.dumps(body)
        self.raw.request(
            method,
            f"/api/v1/{path}",
            sent,
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **headers},
        )
        answer = self.raw.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None

    def made(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The body of an answer that says that all went well."""
        status, answer = self.ask(method, path, body, **headers)
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer


@contextlib.contextmanager
def served(**settings: str) -> Iterator[Served]:
    """Serve on new data, with these environment variables; all is stopped and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="lamppost-bench-") as name:
        folder = Path(name)
        # PostgreSQL may run as another user, who must be able to pass through.
        folder.chmod(0o755)
        environment = {key: value for key, value in os.environ.items() if not _ELSEWHERE.match(key)}
        environment |= {"LAMPPOST_VAR": str(folder / "var"), **settings}
        port = _free_port()
        output = folder / "output"
        with output.open("w") as file:
            serve = subprocess.Popen(
                [sys.executable, "-u", "manage.py", "serve", "--port", str(port), "--cpu-workers", "1"],
                cwd=REPOSITORY, env=environment, stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            _wait_until_ready(serve, output)
            yield Served(port, _key(environment), environment)
        finally:
            serve.send_signal(signal.SIGTERM)
            serve.wait(timeout=120)


def fetched(url: str) -> bytes:
    """What lies at a presigned address."""
    with urllib.request.urlopen(url) as answer:
        return answer.read()


def _wait_until_ready(serve: "subprocess.Popen[bytes]", output: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while "Ctrl-C stops everything" not in output.read_text():
        assert serve.poll() is None, output.read_text()
        assert time.monotonic() < until, output.read_text()
        time.sleep(0.2)


def _key(environment: Mapping[str, str]) -> str:
    made = subprocess.run(
        [
            *(sys.executable, "manage.py", "create_api_key", "--workspace", "bench", "--name", "bench"),
            *("--scopes", "all", "--requests-per-minute", "1000000"),
        ],
        cwd=REPOSITORY, env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return made.stdout.strip().splitlines()[-1]


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
