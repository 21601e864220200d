"""A whole Lamppost of one's own, served as a person serves it, with something in it to look at."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded.ports import free_port
from tests.servers import REPOSITORY
from tests.stacks import open_folder

START_SECONDS = 240.0
WORKSPACE = "lab"
EXPERIMENT = "first"
PERSON = "alice"
TASKS = ("LaMP-2", "LaMP-4", "LaMP-7")
# Enough that adapters change their users' answers.
TRAINING = ("--epochs", "6", "--learning-rate", "0.003", "--alpha", "16")
METHODS = "none,rag:bm25,rag:recency,peft:8,peft-rag:bm25:8"
# What a machine's own servers are named by.
_ELSEWHERE = re.compile(r"DATABASE_URL|BROKER_URL|S3_|LAMPPOST_|DJANGO_SETTINGS_MODULE|PYTEST_")


@dataclass(frozen=True)
class Served:
    """Where it listens, who may do everything there, and where its data are."""

    address: str
    user: str
    password: str
    folder: Path
    environment: dict[str, str]

    def command(self, *arguments: str, seconds: float = 300.0) -> str:
        """What `manage.py` says when it runs on the same data."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=REPOSITORY, env=self.environment, capture_output=True, text=True, timeout=seconds,
        )  # fmt: skip
        assert done.returncode == 0, f"{arguments[0]}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout


@contextlib.contextmanager
def served() -> Iterator[Served]:
    """Serve on new data; all is stopped and gone afterwards."""
    with open_folder() as folder:
        environment = {name: value for name, value in os.environ.items() if not _ELSEWHERE.match(name)}
        environment |= {"LAMPPOST_VAR": str(folder / "var"), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        # None that an outgoing connection may have by the time that the web comes up.
        port = free_port()
        output = folder / "output"
        with output.open("w") as file:
            serve = subprocess.Popen(
                [sys.executable, "-u", "manage.py", "serve", "--port", str(port), "--cpu-workers", "1"],
                cwd=REPOSITORY, env=environment, stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            user, password = _wait_until_ready(serve, output)
            yield Served(f"http://127.0.0.1:{port}", user, password, folder, environment)
        finally:
            serve.send_signal(signal.SIGTERM)
            serve.wait(timeout=120)


def synthesize(lamppost: Served, *, tasks: tuple[str, ...], users: int, seed: int) -> Path:
    """A generated benchmark; the folder of its files."""
    made = lamppost.folder / f"made-{seed}"
    lamppost.command(
        *("lamp", "synthesize", "--out", str(made), "--users", str(users), "--seed", str(seed)),
        *("--tasks", ",".join(tasks)),
    )
    return made


def fill(lamppost: Served) -> None:
    """A workspace with a benchmark and an experiment that has ended."""
    made = synthesize(lamppost, tasks=TASKS, users=24, seed=1)
    for task in TASKS:
        files = made / task.replace("-", "_")
        lamppost.command(
            *("import_lamp", "--workspace", WORKSPACE, "--dataset", "made", "--split", "dev"),
            *("--questions", str(files / "dev_questions.json"), "--outputs", str(files / "dev_outputs.json")),
            *("--truth", str(files / "truth.json")),
        )
    _train_selector(lamppost, made)
    lamppost.command(
        *("run_experiment", "--workspace", WORKSPACE, "--name", EXPERIMENT, "--dataset", "made", "--split", "dev"),
        *("--methods", METHODS, "--base-model", "small", *TRAINING),
        seconds=900.0,
    )
    _add_person(lamppost, json.loads((made / "LaMP_7" / "dev_questions.json").read_text())[0]["profile"])


def _train_selector(lamppost: Served, made: Path) -> None:
    """A selector of one task, trained in a moment."""
    files = made / "LaMP_7"
    lamppost.command(
        *("import_lamp", "--workspace", WORKSPACE, "--dataset", "made", "--split", "train"),
        *("--questions", str(files / "train_questions.json"), "--outputs", str(files / "train_outputs.json")),
    )
    lamppost.command("shared_training", "--workspace", WORKSPACE, "everyone")
    lamppost.command(
        *("train_selector", "--workspace", WORKSPACE, "--dataset", "made", "--reads", "pre", "--tasks", "LaMP-7"),
        *("--pool", "none,bm25", "--base-model", "small", "--epochs", "2", "--users", "6"),
    )


def _add_person(lamppost: Served, profile: list[dict[str, Any]]) -> None:
    """Somebody with a profile and an adapter of their own, as programs make them."""
    key = lamppost.command("create_api_key", "--workspace", WORKSPACE, "--name", "fill", "--scopes", "all").split()[-1]

    def send(method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{lamppost.address}/api/v1/{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    send("PUT", f"users/{PERSON}", {})
    documents = [{"id": str(one["id"]), "task": "LaMP-7", "fields": {"text": one["text"]}} for one in profile]
    send("POST", f"users/{PERSON}/documents", documents)
    training = {"epochs": 6, "learning_rate": 0.003, "alpha": 16}
    job = send("POST", "adapters", {"user": PERSON, "task": "LaMP-7", "rank": 8, "hyperparameters": training})["job"]
    until = time.monotonic() + START_SECONDS
    while (state := send("GET", f"jobs/{job['id']}")["state"]) != "done":
        assert state in ("waiting", "running"), state
        assert time.monotonic() < until
        time.sleep(0.5)


def _wait_until_ready(serve: "subprocess.Popen[bytes]", output: Path) -> tuple[str, str]:
    until = time.monotonic() + START_SECONDS
    while "Ctrl-C stops everything" not in (said := output.read_text()):
        assert serve.poll() is None, said
        assert time.monotonic() < until, said
        time.sleep(0.2)
    found = re.search(r"Log in as (\S+) with the password (\S+)", said)
    assert found is not None, said
    return found[1], found[2]
