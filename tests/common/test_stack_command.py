"""`manage.py stack`, and which commands bring the servers up by themselves, each as a person runs it."""

import os
import subprocess
import sys

import pytest

from embedded import defaults, stack
from tests.servers import REPOSITORY
from tests.stacks import open_folder


@pytest.fixture
def var():
    with open_folder() as place:
        yield place / "var"


@pytest.fixture
def manage(var):
    """Run manage.py on a folder of data of its own, with no servers named by the environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("S3_")}
    for name in (*defaults.VARIABLES, "DJANGO_SETTINGS_MODULE"):
        clean.pop(name, None)

    def run(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(REPOSITORY / "manage.py"), *arguments],
            env={**clean, "LAMPPOST_VAR": str(var), **extra}, cwd=var.parent, capture_output=True, text=True,
        )  # fmt: skip

    return run


def test_up_status_down(manage):
    up = manage("stack", "up")
    assert (up.returncode, up.stderr) == (0, "")
    assert up.stdout.count("running") == 3
    assert manage("stack", "status").returncode == 0

    down = manage("stack", "down")
    assert (down.returncode, down.stdout) == (0, "Stopped PostgreSQL, Redis, Object store.\n")

    stopped = manage("stack", "status")
    assert stopped.returncode == 1
    assert stopped.stdout.count("stopped") == 3


def test_a_command_that_needs_servers_brings_them_up_and_one_that_does_not_does_not(manage, var):
    assert manage("check").returncode == 0
    assert stack.recorded(var) is None

    assert manage("showmigrations", "jobs").returncode == 0
    assert [server.running for server in stack.status(var)] == [True, True, True]


def test_servers_of_ones_own_are_left_alone(manage, var):
    manage("stack", "up", S3_ENDPOINT="http://127.0.0.1:9", BROKER_URL="redis://127.0.0.1:9/0")
    assert [server.name for server in stack.status(var) if server.running] == ["postgres"]
    shown = manage("stack", "status", S3_ENDPOINT="http://127.0.0.1:9", BROKER_URL="redis://127.0.0.1:9/0")
    assert shown.returncode == 0
    assert "outside     by S3_ENDPOINT" in shown.stdout


def test_what_cannot_be_had_is_one_line_and_a_remedy(manage, var):
    var.write_text("in the way")
    refused = manage("showmigrations")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: ")
    assert "Move it away" in refused.stderr
    assert "Traceback" not in refused.stderr
    var.unlink()
