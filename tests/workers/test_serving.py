import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.processes import runs
from workers.serving import Part, PartKeepsEnding, Parts

SLEEP = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]


@pytest.fixture
def parts_of(tmp_path):
    return lambda *parts: Parts(parts, folder=tmp_path, log_folder=tmp_path / "log", grace_seconds=1)


def sleepers() -> list[psutil.Process]:
    """Living processes below this one that run the sleeping program itself."""
    return running(SLEEP)


def running(command: list[str]) -> list[psutil.Process]:
    return [process for process in psutil.Process().children(recursive=True) if runs(process, command)]


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_parts_run_side_by_side_and_none_is_left_behind(parts_of, tmp_path):
    with parts_of(Part("one", SLEEP), Part("two", SLEEP)):
        wait_for(lambda: len(sleepers()) == 2)
        wait_for(lambda: (tmp_path / "log" / "two.log").read_text() == "here\n")
    assert sleepers() == []


def test_a_part_that_dies_is_said_to_and_started_again(parts_of):
    said: list[str] = []
    with parts_of(Part("one", SLEEP)) as parts:
        wait_for(lambda: len(sleepers()) == 1)
        first = sleepers()[0]
        first.kill()

        def tended() -> bool:
            parts.tend(say=said.append)
            return any(process != first for process in sleepers())

        wait_for(tended)
    assert len(said) == 1
    assert "one has ended" in said[0]
    assert sleepers() == []


def test_a_part_that_keeps_ending_is_given_up_with_its_last_words(parts_of):
    broken = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    with parts_of(Part("broken", broken)) as parts, pytest.raises(PartKeepsEnding, match="no such thing"):
        wait_for(lambda: parts.tend(say=lambda text: None))


def test_a_part_that_will_not_end_is_ended_at_once_where_there_is_a_hurry(parts_of):
    deaf = [
        sys.executable,
        "-c",
        "import signal, time; signal.signal(signal.SIGTERM, lambda *_: None); time.sleep(600)",
    ]
    with parts_of(Part("deaf", deaf)) as parts:
        wait_for(lambda: running(deaf))
        time.sleep(0.2)
        parts.stop(hurry=lambda: True)
    assert running(deaf) == []


def test_parts_end_with_a_process_that_is_killed(tmp_path):
    mark = f"mark-{os.getpid()}-{time.monotonic_ns()}"
    program = (
        "import sys, time, pathlib; from workers.serving import Part, Parts\n"
        "command = [sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[2]]\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "with Parts([Part('one', command)], folder=folder, log_folder=folder, grace_seconds=1): time.sleep(600)\n"
    )

    def marked() -> list[int]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.cmdline()[-1:] == [mark] and "-c" in process.cmdline() and process.pid != starter.pid:
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found

    starter = subprocess.Popen([sys.executable, "-c", program, str(tmp_path), mark])
    wait_for(lambda: len(marked()) == 2)  # the part and its supervisor
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    wait_for(lambda: marked() == [])
