"""The supervisor: nothing it started outlives it, its starter or the grace."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from jobs.supervisor import split_commands
from tests.jobs.conftest import ROOT, until
from tests.processes import kill_all, lives

# What is started here would sleep for ten minutes.
PATIENCE = 60
SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
]


@pytest.fixture
def supervise():
    started = []

    def start(*commands, grace=5.0):
        arguments = [part for command in commands for part in ("--", *command)]
        process = subprocess.Popen(
            [sys.executable, "-m", "jobs.supervisor", "--grace", str(grace), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        started.append(process)
        until(lambda: len(psutil.Process(process.pid).children()) == len(commands), seconds=PATIENCE)
        process.ours = psutil.Process(process.pid).children(recursive=True)
        return process

    yield start
    for process in started:
        kill_all(process.ours)
        process.kill()
        process.wait()


def gone(processes):
    return not any(lives(process) for process in processes)


def test_it_ends_when_its_lifeline_closes(supervise):
    process = supervise(SLEEPER, SLEEPER)
    process.stdin.close()
    assert process.wait(PATIENCE) == 0
    assert gone(process.ours)


def test_it_ends_when_it_is_told_to(supervise):
    process = supervise(SLEEPER)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert gone(process.ours)


def test_what_does_not_listen_is_killed_after_the_grace(supervise):
    process = supervise(DEAF, grace=0.3)
    assert process.stdout.readline() == b"deaf\n"
    process.stdin.close()
    assert process.wait(PATIENCE) == 0
    assert gone(process.ours)


def test_one_command_that_ends_takes_the_others_along(supervise):
    process = supervise(SLEEPER, SLEEPER)
    os.kill(process.ours[0].pid, signal.SIGKILL)
    assert process.wait(PATIENCE) == 1
    assert gone(process.ours)


@pytest.mark.parametrize("arguments", [[], ["a"], ["--"], ["--", "a", "--"]])
def test_a_command_line_without_a_command_is_refused(arguments):
    with pytest.raises(ValueError):
        split_commands(arguments)
