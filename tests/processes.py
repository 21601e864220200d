"""Processes that may end at any moment, also while a test looks at them."""

from collections.abc import Iterable
from contextlib import suppress

import psutil


def lives(process: psutil.Process) -> bool:
    """Whether it runs still; one that has ended and was not waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def runs(process: psutil.Process, command: list[str]) -> bool:
    """Whether it lives and runs this very command."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.cmdline() == command
    except psutil.NoSuchProcess:
        # It has ended since it was listed.
        return False


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """kill -9, whoever of them is still there: some end with another."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
