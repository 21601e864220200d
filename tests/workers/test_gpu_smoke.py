"""`make gpu-smoke`: what it says without a GPU, and its whole path on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from django.core.management import call_command
from django.core.management.base import CommandError

from embedded import defaults
from jobs.local import _worker_commands, model_pool
from tests.stacks import open_folder
from workers.gpu_smoke import SmokeReport

ROOT = Path(__file__).resolve().parents[2]


def test_without_a_gpu_it_says_so_and_ends_with_2(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv(defaults.STARTED_HERE, raising=False)
    with pytest.raises(CommandError, match="This machine has no GPU") as refused:
        call_command("gpu_smoke")
    assert refused.value.returncode == 2


def test_models_on_a_gpu_have_a_worker_that_forks_nothing():
    assert (model_pool("cpu"), model_pool("cuda"), model_pool("auto")) == ("prefork", "solo", "solo")
    for_models, rest = _worker_commands(["cpu", "model"], concurrency=2, pool="solo")
    assert _options(for_models) == {"--queues": "model", "--concurrency": "1", "--pool": "solo"}
    assert _options(rest) == {"--queues": "cpu", "--concurrency": "2", "--pool": "prefork"}


def test_models_on_a_cpu_share_a_worker_with_the_rest():
    (worker,) = _worker_commands(["cpu", "model"], concurrency=2, pool="prefork")
    assert _options(worker) == {"--queues": "cpu,model", "--concurrency": "2", "--pool": "prefork"}


def _options(command: list[str]) -> dict[str, str]:
    return {name: command[command.index(name) + 1] for name in ("--queues", "--concurrency", "--pool")}


def test_the_report_names_device_times_and_peak_memory():
    report = SmokeReport(
        device="NVIDIA H200",
        dtype="bfloat16",
        worker_start_seconds=3,
        training_seconds=4,
        steps=12,
        first_loss=7.5,
        last_loss=4.25,
        generation_seconds=1,
        peft_score=-1.25,
        served_score=-1.26,
        same_text=True,
        peak_bytes=3 << 30,
    )
    text = "\n".join(report.lines())
    assert "NVIDIA H200, bfloat16" in text
    assert "4.0 s for 12 steps, loss 7.500 → 4.250" in text
    assert "3.00 GiB" in text


@pytest.mark.long
def test_the_whole_path_runs_on_the_cpu():
    """On embedded servers of its own: a worker that does not fork, training, generation, and plain peft."""
    of_the_session = {*defaults.VARIABLES, *(name for name in os.environ if name.startswith("S3_"))}
    kept = {name: value for name, value in os.environ.items() if name not in of_the_session}
    with open_folder() as folder:
        done = subprocess.run(
            [sys.executable, "manage.py", "gpu_smoke", "--device", "cpu"],
            cwd=ROOT,
            env={**kept, "LAMPPOST_VAR": str(folder), "DJANGO_SETTINGS_MODULE": "config.settings"},
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        log = "".join(path.read_text(errors="replace") for path in (folder / "log").glob("local-workers-*.log"))
        assert done.returncode == 0, done.stderr + log
        assert "cpu, float32" in done.stdout
        assert "the same text" in done.stdout
        assert "(solo)" in log
