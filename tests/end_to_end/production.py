"""The processes of docker-compose.yml without containers: the same commands and environment, servers elsewhere."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from embedded import stack
from images import secret_files
from tests.images import topology
from tests.servers import REPOSITORY

# What the image of web has none of: there, importing one of these fails.
_OF_MODELS = ("torch", "transformers", "peft", "tokenizers", "safetensors", "accelerate")
METRICS_TOKEN = "the token of a test's Prometheus"
# Images hold Lamppost's code without installing it: nobody can ask its package for anything. Python reads this first.
_NOT_INSTALLED = """
from importlib.metadata import Distribution, PackageNotFoundError
found = Distribution.from_name
def from_name(name):
    if name == "lamppost":
        raise PackageNotFoundError(name)
    return found(name)
Distribution.from_name = from_name
"""


class Production:
    """One installation below `folder`; its servers are whoever `endpoints` names."""

    def __init__(self, folder: Path, endpoints: stack.Endpoints, *, port: int) -> None:
        self.folder = folder
        self.port = port
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._servers = _outside(endpoints)
        self._write_secrets(endpoints)
        self._not_installed = folder / "not-installed"
        self._not_installed.mkdir()
        (self._not_installed / "sitecustomize.py").write_text(_NOT_INSTALLED)
        self._no_models = folder / "no-models"
        self._no_models.mkdir()
        for name in _OF_MODELS:
            (self._no_models / f"{name}.py").write_text("raise ImportError('the image of web has none')\n")

    def run(self, service: str, *command: str) -> str:
        """Run a command in a service's environment (its own command where none is given); what it said."""
        parts = self._argv(command or topology.services()[service]["command"])
        answer = subprocess.run(
            parts, cwd=self._working_folder(service), env=self._environment(service), capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def start(self, service: str) -> None:
        """Start a service, which runs on."""
        with self.log(service).open("wb") as output:
            self.running[service] = subprocess.Popen(
                self._argv(topology.services()[service]["command"]),
                cwd=self._working_folder(service),
                env=self._environment(service),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> dict[str, float]:
        """SIGTERM to all at once, as `docker compose stop` does; how many seconds each took, which ended with 0.

        Raises:
            AssertionError: One took longer than its grace in docker-compose.yml, or ended otherwise.
        """
        begun = time.monotonic()
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        took = {}
        for service, process in self.running.items():
            grace = float(topology.services()[service]["stop_grace_period"].removesuffix("s"))
            try:
                process.wait(timeout=max(0.1, begun + grace - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{service} did not end: {self.log(service).read_text()[-2000:]}") from None
            took[service] = time.monotonic() - begun
            assert process.returncode == 0, f"{service}: {self.log(service).read_text()[-2000:]}"
        self.running = {}
        return took

    def kill(self) -> None:
        """End whatever is left, with its children."""
        for process in self.running.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def log(self, service: str) -> Path:
        """What a service has said."""
        return self.folder / f"{service}.log"

    def secret(self, name: str) -> str:
        """What a secret's file holds."""
        return (self.folder / "secrets" / name).read_text()

    def _argv(self, command: Sequence[str]) -> list[str]:
        program, *rest = [topology.with_defaults(part) for part in command]
        rest = [str(REPOSITORY / part) if part == "manage.py" else part for part in rest]
        return [sys.executable, *([] if program == "python" else ["-m", program]), *rest]

    def _environment(self, service: str) -> dict[str, str]:
        of_image = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONUNBUFFERED": "1"}
        found: Sequence[Path] = (self._not_installed, REPOSITORY, REPOSITORY / "platform")
        if "web.Dockerfile" in topology.services()[service]["build"]["dockerfile"]:
            found = (self._no_models, *found)
        told = {
            name: value.replace("/run/secrets", str(self.folder / "secrets"))
            for name, value in topology.environment_of(service).items()
        }
        return {
            **of_image,
            "PYTHONPATH": os.pathsep.join(map(str, found)),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            **told,
            **self._servers,
            "LAMPPOST_VAR": str(self._working_folder(service)),
            "STATIC_ROOT": str(self.folder / "static"),
            "WEB_BIND": f"127.0.0.1:{self.port}",
            "LAMPPOST_METRICS_TOKEN": METRICS_TOKEN,
        }

    def _working_folder(self, service: str) -> Path:
        path = self.folder / service
        path.mkdir(exist_ok=True)
        return path

    def _write_secrets(self, endpoints: stack.Endpoints) -> None:
        """Those of the servers are the servers' own; the others are made as `make secrets` makes them."""
        folder = self.folder / "secrets"
        folder.mkdir()
        (folder / "database_password").write_text(unquote(urlsplit(endpoints.database_url).password or ""))
        (folder / "broker_password").write_text(unquote(urlsplit(endpoints.broker_url).password or ""))
        (folder / "s3_access_key").write_text(endpoints.s3_access_key)
        (folder / "s3_secret_key").write_text(endpoints.s3_secret_key)
        secret_files.make(folder)


def _outside(endpoints: stack.Endpoints) -> Mapping[str, str]:
    """The servers' addresses, without the passwords, which are in files."""
    return {
        "DATABASE_URL": _without_password(endpoints.database_url),
        "BROKER_URL": _without_password(endpoints.broker_url),
        "S3_ENDPOINT": endpoints.s3_endpoint,
        "S3_PUBLIC_ENDPOINT": endpoints.s3_endpoint,
    }


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    user, address = parts.username or "", parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{user}@{address}" if user else address).geturl()


@contextmanager
def production(folder: Path, endpoints: stack.Endpoints, *, port: int) -> Iterator[Production]:
    """A production below `folder`, of which nothing is left."""
    made = Production(folder, endpoints, port=port)
    try:
        yield made
    finally:
        made.kill()
