"""`manage.py serve` as a person runs it."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from embedded import defaults
from tests.servers import REPOSITORY
from tests.stacks import open_folder, processes_below
from training_app.kinds import GENERATE, TRAIN_ADAPTER
from workers.management.commands import serve as serve_command


@pytest.mark.long
def test_serve_brings_everything_up_says_how_to_log_in_and_leaves_nothing_behind():
    with open_folder() as place:
        var = place / "var"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("S3_")}
        for name in (*defaults.VARIABLES, "DJANGO_SETTINGS_MODULE"):
            environment.pop(name, None)
        output = place / "output"
        with output.open("w") as file:
            serve = subprocess.Popen(
                [sys.executable, "-u", str(REPOSITORY / "manage.py"), "serve", "--cpu-workers", "1"],
                env={**environment, "LAMPPOST_VAR": str(var)}, stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + 240
            while "Ctrl-C stops everything" not in output.read_text():
                assert serve.poll() is None, output.read_text()
                assert time.monotonic() < deadline, output.read_text()
                time.sleep(0.2)
            said = output.read_text()
            address = re.search(r"http://127\.0\.0\.1:\d+/", said)[0]
            assert re.search(r"Log in as admin with the password \S{12,}", said)
            with urllib.request.urlopen(address) as page:
                assert "Log in" in page.read().decode()
        finally:
            serve.send_signal(signal.SIGTERM)
            serve.wait(timeout=120)
        assert serve.returncode == 0
        assert processes_below(place) == []
        assert _serving(var) == []


def _serving(var: Path) -> list[int]:
    """Process ids of whoever was told to work on the data in `var`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("LAMPPOST_VAR") == str(var):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def queues_of_model_parts(**options):
    parts = serve_command.Command()._model_parts("serve", {"model_workers": 1, "training_workers": 1, **options})
    return [part.command[list(part.command).index("--queues") + 1] for part in parts]


def test_who_waits_for_an_answer_does_not_wait_for_a_training(settings):
    settings.MODEL_DEVICE = "cpu"
    assert TRAIN_ADAPTER.queue != GENERATE.queue
    assert queues_of_model_parts() == [GENERATE.queue, TRAIN_ADAPTER.queue]


def test_on_a_gpu_one_process_holds_the_model_and_does_both(settings):
    settings.MODEL_DEVICE = "cuda"
    assert queues_of_model_parts() == [f"{GENERATE.queue},{TRAIN_ADAPTER.queue}"]
