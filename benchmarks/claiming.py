"""Worker processes that only claim: each holds a connection to every database, as a worker does to its own."""

import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple


class Claimed(NamedTuple):
    """What processes did together: how many jobs they claimed, and the seconds of each claim."""

    jobs: int
    seconds: float
    """From the word to begin until the last one was done."""
    each: list[float]


class Claimers:
    """So many processes, started and connected once."""

    def __init__(self, databases: Sequence[str], *, most: int) -> None:
        # Not forked: each is a process of its own, as a worker is.
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        for _ in range(most):
            ours, theirs = context.Pipe()
            process = context.Process(target=_claimer, args=(theirs, tuple(databases)), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)
        for pipe in self._pipes:
            assert pipe.recv() == "ready"

    def claim(self, *, workers: int, database: str, kind: str, claims: int) -> Claimed:
        """Let the first so many processes claim so often each, all at once. Every claim must find something."""
        pipes = self._pipes[:workers]
        for pipe in pipes:
            pipe.send((database, kind, claims))
        for pipe in pipes:
            assert pipe.recv() == "waits"
        began = time.perf_counter()
        for pipe in pipes:
            pipe.send("go")
        told = [pipe.recv() for pipe in pipes]
        seconds = time.perf_counter() - began
        ids = [one for job_ids, _ in told for one in job_ids]
        assert len(set(ids)) == len(ids), "two processes hold the same job"
        return Claimed(len(ids), seconds, [one for _, each in told for one in each])

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.send(None)
        for process in self._processes:
            process.join(timeout=30)


def _claimer(pipe: Connection, names: tuple[str, ...]) -> None:
    import django

    django.setup()
    from benchmarks.databases import Databases
    from jobs import claims, kinds

    databases = Databases(*names)
    for name in names:
        databases.use(name)
        claims.kinds_waiting([])
    pipe.send("ready")
    while (asked := pipe.recv()) is not None:
        database, kind_name, count = asked
        databases.use(database)
        kind = kinds.get(kind_name)
        pipe.send("waits")
        assert pipe.recv() == "go"
        ids: list[int] = []
        each: list[float] = []
        for _ in range(count):
            began = time.perf_counter()
            taken = claims.claim(kind)
            each.append(time.perf_counter() - began)
            assert taken, "nothing waits any more"
            ids += [one.id for one in taken]
        pipe.send((ids, each))
    databases.close()
