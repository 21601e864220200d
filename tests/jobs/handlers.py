"""Handlers and kinds of the tests. What they do can be seen in the table `test_effect`, which forbids nothing."""

import os
import signal
import time

from django.db import connection

from jobs import kinds

# Handlers that one test defines for itself, by the kind's name (see the fixture `kind_of`).
OWN = {}

KINDS = (
    kinds.Kind(name="test.record", queue="cpu", handler="tests.jobs.handlers.record", lease_seconds=3, max_attempts=50),
    kinds.Kind(
        name="test.batch",
        queue="model",
        handler="tests.jobs.handlers.record",
        lease_seconds=3,
        max_attempts=50,
        batch_size=8,
    ),
    kinds.Kind(name="test.slow", queue="cpu", handler="tests.jobs.handlers.slow", lease_seconds=5),
    kinds.Kind(
        name="test.poisoned", queue="cpu", handler="tests.jobs.handlers.poisoned", lease_seconds=3, batch_size=8
    ),
    kinds.Kind(name="test.stubborn", queue="cpu", handler="tests.jobs.handlers.stubborn", lease_seconds=60),
)


def register_kinds():
    for kind in KINDS:
        kinds.register(kind)


def effect(job):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO test_effect (job_id, pid) VALUES (%s, %s)", [job.id, os.getpid()])


def record(jobs):
    for job in jobs:
        with job.finishing(result={"pid": os.getpid()}):
            effect(job)
            time.sleep(job.payload.get("seconds", 0))


def slow(jobs):
    """Takes `seconds`, looks up every few milliseconds, says how far it is."""
    for job in jobs:
        steps = int(job.payload["seconds"] / 0.05)
        for step in range(steps):
            job.check()
            job.progress(done=step, total=steps, message="stepping")
            time.sleep(0.05)
        with job.finishing():
            effect(job)


def stubborn(jobs):
    """Never looks up."""
    for job in jobs:
        time.sleep(job.payload["seconds"])
        with job.finishing():
            effect(job)


def poisoned(jobs):
    """Kills its process where one of the jobs is poison."""
    if any(job.payload.get("poison") for job in jobs):
        os.kill(os.getpid(), signal.SIGKILL)
    record(jobs)


def own(jobs):
    """The handler that the test gave for this kind."""
    OWN[jobs[0].kind.name](jobs)
