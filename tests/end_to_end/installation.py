"""An installation of its own, used as a person would: by its commands, each in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
# What would point the installation at the test session's servers.
_NAMES_SERVERS = ("DATABASE_URL", "BROKER_URL", "S3_ENDPOINT", "S3_PUBLIC_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY")
_OF_THE_SESSION = (*_NAMES_SERVERS, "S3_BUCKET", "DJANGO_SETTINGS_MODULE", "PYTEST_CURRENT_TEST")


@dataclass(frozen=True)
class Installation:
    """A var folder with embedded servers of its own; `settings` are added to the environment."""

    var: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def start(self, *arguments: str | Path) -> "subprocess.Popen[str]":
        """Start `manage.py …`."""
        return subprocess.Popen(
            [sys.executable, "manage.py", *map(str, arguments)],
            cwd=ROOT,
            env={**self._environment(), **self.settings, "LAMPPOST_VAR": str(self.var)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str | Path, expect: int = 0, seconds: float = 600) -> str:
        """Run `manage.py …` to its end, and return what it said: standard output, or the error if one is expected."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=seconds)
        assert process.returncode == expect, out + err
        return err if expect else out

    def ask(self, question: str) -> Any:
        """The value of a Python expression in the installation's own Django, as JSON."""
        imports = (
            "from eval_app.models import *; from jobs.models import *; from training_app.models import *; import json"
        )
        return json.loads(self.run("shell", "-v0", "-c", f"{imports}; print(json.dumps({question}))").splitlines()[-1])

    def workers(self) -> list[psutil.Process]:
        """The Celery processes of this installation, workers and their children."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            try:
                if "celery" in (process.info["cmdline"] or []) and process.environ().get("LAMPPOST_VAR") == str(
                    self.var
                ):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def down(self) -> None:
        self.run("stack", "down")

    @staticmethod
    def _environment() -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name not in _OF_THE_SESSION}


def kill(process: "psutil.Process | subprocess.Popen[str]") -> None:
    """kill -9, whether or not it is still there."""
    try:
        process.send_signal(signal.SIGKILL)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return
