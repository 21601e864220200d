"""Django's own checks of a production, with the environment that docker-compose.yml gives to web."""

import os
import subprocess
import sys

from images import secret_files
from tests.images import topology
from tests.servers import REPOSITORY


def check(tmp_path, **changed):
    """`manage.py check --deploy` as web would run it; what it said."""
    secret_files.make(tmp_path / "secrets")
    environment = {
        name: value.replace("/run/secrets", str(tmp_path / "secrets"))
        for name, value in topology.environment_of("web").items()
    }
    environment.update({"LAMPPOST_VAR": str(tmp_path / "var"), "STATIC_ROOT": str(tmp_path / "static"), **changed})
    (tmp_path / "static").mkdir()
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "manage.py"), "check", "--deploy", "--fail-level", "WARNING"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'platform'}", **environment},
        capture_output=True,
        text=True,
    )


def test_there_is_nothing_to_warn_of(tmp_path):
    answer = check(tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("System check identified no issues")
    assert answer.stderr == ""


def test_nothing_is_written_where_the_secrets_are_given(tmp_path):
    check(tmp_path)
    assert not (tmp_path / "var").exists()


def test_without_https_there_is(tmp_path):
    answer = check(tmp_path, HTTPS="0")
    assert answer.returncode == 1
    assert "security.W008" in answer.stderr
