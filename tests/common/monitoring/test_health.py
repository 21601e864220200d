"""`/healthz` and `/readyz`: for everyone, over plain HTTP, in time, and without a word too many."""

import json
import threading
import time
from urllib.parse import urlsplit

import pytest
from django.test import Client

from common.monitoring import readiness
from jobs import nodes
from jobs.kinds import QUEUES

ADDRESSES = ("/healthz", "/readyz")
# Where nobody listens.
NOWHERE = "127.0.0.1:9"


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch, settings):
    """No answer of another test's, and all the time that a busy machine may need for one."""
    settings.READINESS_SECONDS = 30.0
    probes = {name: readiness.Probe(probe.part) for name, probe in readiness._probes.items()}
    monkeypatch.setattr("common.monitoring.readiness._probes", probes)


@pytest.fixture
def parts(transactional_db):
    def ask():
        answer = Client().get("/readyz")
        return answer.status_code, answer.json()["parts"]

    return ask


@pytest.fixture
def away(transactional_db):
    """Take one part away: `away("broker")`. It is back before the database is emptied."""
    from celery import current_app
    from django.conf import settings
    from django.db import connections

    patch = pytest.MonkeyPatch()
    connect = current_app.connection_for_write

    def take(name):
        if name == "broker":
            patch.setattr(current_app, "connection_for_write", lambda: connect(f"redis://{NOWHERE}"))
        elif name == "object-store":
            patch.setattr(settings, "S3_ENDPOINT", f"http://{NOWHERE}")
        else:
            connections.close_all()
            patch.setitem(connections.settings["default"], "PORT", "9")

    yield take
    patch.undo()


def test_healthz_answers_without_asking_the_database():
    # Without the fixture `db`, any query is an error.
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "up"})


def test_everything_that_is_required_is_up(parts):
    status, found = parts()
    assert status == 200
    assert {name: (part["state"], part["required"]) for name, part in found.items() if name != "workers"} == {
        "database": ("up", True),
        "broker": ("up", True),
        "object-store": ("up", True),
    }
    assert all(part["milliseconds"] >= 0 for part in found.values())


def test_missing_workers_are_reported_by_queue_and_keep_nobody_from_asking(parts):
    nodes.beat(nodes.Node(queues=("cpu",), concurrency=1))
    status, found = parts()
    assert (status, found["workers"]["state"]) == (200, "missing")
    assert found["workers"]["queues"] == {"cpu": 1, "model": 0, "training": 0}


def test_with_a_worker_for_each_queue_nothing_is_missing(parts):
    nodes.beat(nodes.Node(queues=QUEUES, concurrency=1))
    assert parts()[1]["workers"]["state"] == "up"


@pytest.mark.parametrize("name", ["broker", "object-store", "database"])
def test_without_a_server_it_is_not_ready(parts, away, name):
    away(name)
    status, found = parts()
    assert (status, found[name]["state"]) == (503, "down")
    others = {"broker", "object-store", "database"} - {name}
    assert {found[other]["state"] for other in others} == {"up"}


def test_a_wrong_secret_of_the_object_store_is_not_ready(parts, settings):
    settings.S3_SECRET_KEY = "x" * 40
    status, found = parts()
    assert (status, found["object-store"]["state"]) == (503, "down")


def test_a_hung_part_does_not_hang_the_answer(transactional_db, monkeypatch, settings):
    settings.READINESS_SECONDS = 0.2
    released = threading.Event()
    hung = readiness.Probe(readiness.Part(name="database", ask=lambda: released.wait(10) and readiness.Found()))
    monkeypatch.setitem(readiness._probes, "database", hung)
    begun = time.monotonic()
    answer = Client().get("/readyz")
    assert time.monotonic() - begun < 2
    released.set()
    assert hung.standing(until=time.monotonic() + 5).state == "up"
    assert (answer.status_code, answer.json()["parts"]["database"]["state"]) == (503, "timeout")


def test_nothing_of_servers_or_secrets_is_told(parts, away, settings):
    for name in ("broker", "object-store", "database"):
        away(name)
    told = json.dumps(parts()[1])
    database = settings.DATABASES["default"]
    secrets = [
        settings.S3_SECRET_KEY, settings.S3_ACCESS_KEY, settings.SECRET_KEY, database["NAME"], "127.0.0.1",
        urlsplit(settings.S3_ENDPOINT).netloc, "Traceback", "Error",
    ]  # fmt: skip
    assert [secret for secret in secrets if secret and secret in told] == []


@pytest.mark.parametrize("address", ADDRESSES)
def test_whoever_watches_needs_neither_login_nor_tls(transactional_db, settings, address):
    settings.SECURE_SSL_REDIRECT = True
    answer = Client().get(address)
    assert (answer.status_code, "no-store" in answer.headers["Cache-Control"]) == (200, True)


@pytest.mark.parametrize("address", ADDRESSES)
def test_asking_changes_nothing(address):
    assert {Client().generic(method, address).status_code for method in ("POST", "PUT", "PATCH", "DELETE")} == {405}
