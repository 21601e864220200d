"""Stacks of a test's own, apart from the session's."""

import contextlib
import multiprocessing
import os
import pwd
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from embedded import stack


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """An empty folder that every user of the machine may enter; whatever stacks stand below it are erased at the end.

    pytest's own folders may be entered by their owner alone, and PostgreSQL runs as another user for root.
    """
    path = Path(tempfile.mkdtemp(prefix="lamppost-", dir="/tmp"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        for record in path.rglob("stack.lock"):
            stack.erase(record.parent)
        shutil.rmtree(path, ignore_errors=True)


def processes_below(path: Path) -> list[psutil.Process]:
    """Every living process that works in `path` or below, of whatever program."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(path):
                found.append(process)
        except psutil.Error:
            continue
    return found


def as_unprivileged_user(function: Callable[[], None]) -> None:
    """Call `function` in a process of its own that is not root; an exception in it fails the test."""
    receive, send = multiprocessing.Pipe(duplex=False)

    def call() -> None:
        try:
            if os.geteuid() == 0:
                nobody = pwd.getpwnam("nobody")
                os.setgroups([])
                os.setgid(nobody.pw_gid)
                os.setuid(nobody.pw_uid)
            function()
            send.send(None)
        except BaseException:
            send.send(traceback.format_exc())

    process = multiprocessing.get_context("fork").Process(target=call)
    process.start()
    problem = receive.recv()
    process.join()
    assert problem is None, problem
