"""Keeps processes no longer than whoever started it: `python -m jobs.supervisor --grace 30 -- a b -- c d`.

It starts each command in a session of its own and holds its standard input, a pipe whose other end is with the
starter. When that end closes, for whatever reason (also `kill -9`), or when it is told to stop, it stops the commands
gently, and after the grace with their whole process groups by force. It ends with the first command that ends.

Knows nothing of Django, so that it starts at once.
"""

import argparse
import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

_POLL_SECONDS: Final = 0.2


def split_commands(arguments: Sequence[str]) -> list[list[str]]:
    """The commands between `--` and `--`.

    >>> split_commands(["--", "a", "b", "--", "c"])
    [['a', 'b'], ['c']]
    """
    commands: list[list[str]] = []
    for argument in arguments:
        if argument == "--":
            commands.append([])
        elif commands:
            commands[-1].append(argument)
        else:
            raise ValueError("each command is introduced by --")
    if not commands or not all(commands):
        raise ValueError("no command, or an empty one")
    return commands


def supervise(commands: Sequence[Sequence[str]], *, grace_seconds: float, lifeline: int = 0) -> int:
    """Run `commands` until the lifeline closes, a signal comes or one of them ends; 0 where all stopped as told."""
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: told.append(number))
    children = [
        subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - our starter's own
        for command in commands
    ]
    ended_early = False
    while not told and not ended_early:
        ended_early = any(child.poll() is not None for child in children)
        if _closed(lifeline):
            break
    stop_all(children, grace_seconds=grace_seconds)
    return 1 if ended_early else 0


def stop_all(children: Sequence["subprocess.Popen[bytes]"], *, grace_seconds: float) -> None:
    """SIGTERM to each; after the grace, SIGKILL to what is left of each one's process group."""
    for child in children:
        if child.poll() is None:
            child.terminate()
    until = time.monotonic() + grace_seconds
    while time.monotonic() < until and any(child.poll() is None for child in children):
        time.sleep(_POLL_SECONDS / 4)
    for child in children:
        # Its session is its process group; it may have left children behind even where it has ended itself.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _closed(lifeline: int) -> bool:
    ready, _, _ = select.select([lifeline], [], [], _POLL_SECONDS)
    return bool(ready) and os.read(lifeline, 4096) == b""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    first = given.index("--") if "--" in given else len(given)
    parser = argparse.ArgumentParser(prog="python -m jobs.supervisor", description=__doc__.splitlines()[0])
    parser.add_argument("--grace", type=float, default=30.0, help="seconds between the gentle stop and the forced one")
    options = parser.parse_args(given[:first])
    return supervise(split_commands(given[first:]), grace_seconds=options.grace)


if __name__ == "__main__":
    sys.exit(main())
