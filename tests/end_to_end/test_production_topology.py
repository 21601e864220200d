"""The processes that docker-compose.yml starts, beside servers that are elsewhere: from empty tables to an answer."""

import http.client
import json
import time

import pytest

from common.version import VERSION
from embedded import stack
from embedded.ports import free_port
from tests.end_to_end.production import METRICS_TOKEN, production
from tests.images import topology
from tests.stacks import open_folder, processes_below

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

ORDER = ("web", "beat", "worker-cpu", "worker-model", "worker-training")
WORDS = "marigolds in the kitchen garden"


@pytest.fixture(scope="module")
def place():
    with open_folder() as path:
        yield path


@pytest.fixture(scope="module")
def running(place):
    """All of them, once the tables are there."""
    endpoints = stack.up(place / "elsewhere", durable=False)
    (place / "here").mkdir()
    with production(place / "here", endpoints, port=free_port()) as made:
        made.run("web", "python", "manage.py", "collectstatic", "--noinput", "--verbosity", "0")
        made.run("migrate")
        for service in ORDER:
            made.start(service)
        yield made


@pytest.fixture(scope="module")
def ask(running):
    """Send a request as the proxy before web does; status and answer."""
    key = running.run(
        "web", "python", "manage.py", "create_api_key", "--workspace", "shop", "--name", "t", "--scopes", "all"
    ).strip()

    def ask(method, path, body=None, *, proto="https", token=key):
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
        headers = {
            "Host": "lamppost.example.org",
            "X-Forwarded-Proto": proto,
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Prefer": "wait=20",
        }
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    until = time.monotonic() + 240
    while True:
        try:
            ask("GET", "/api/v1/openapi.json")
            return ask
        except OSError:
            assert running.running["web"].poll() is None, running.log("web").read_text()
            assert time.monotonic() < until
            time.sleep(0.5)


def test_the_order_is_all_that_compose_starts_with_models_on_the_cpu():
    with_profile = {
        name
        for name, service in topology.services().items()
        if service.get("profiles", ["cpu-models"]) == ["cpu-models"]
    }
    assert with_profile == {"migrate", *ORDER}


def test_a_document_is_taken_and_an_answer_given(running, ask):
    assert ask("PUT", "/api/v1/users/alice")[0] in (200, 201)
    document = {"id": "1", "task": "LaMP-7", "fields": {"text": WORDS}}
    assert ask("POST", "/api/v1/users/alice/documents", document)[0] in (200, 201)
    question = {"user": "alice", "task": "LaMP-7", "method": "rag", "fields": {"text": "my garden"}}
    until = time.monotonic() + 240
    while True:
        # The first ones come before a worker has loaded the model.
        status, answer = ask("POST", "/api/v1/generations", question)
        if status in (200, 201):
            break
        assert time.monotonic() < until, (answer, running.log("worker-model").read_text()[-3000:])
        time.sleep(1)
    made = json.loads(answer)
    assert made["output"]
    assert [found["id"] for found in made["retrieval"]["documents"]] == ["1"]


def test_pages_and_their_files_are_served_to_https_alone(ask):
    assert ask("GET", "/admin/login/")[0] == 200
    assert ask("GET", "/static/common/lamppost.svg")[0] == 200
    assert ask("GET", "/admin/login/", proto="http")[0] == 301


def test_what_it_measures_is_told(ask):
    status, told = ask("GET", "/metrics", token=METRICS_TOKEN)
    assert status == 200
    assert f'lamppost_build_info{{version="{VERSION}"}} 1.0' in told


def test_a_backup_is_taken_and_found_whole(running, place, ask):
    target = str(place / "backup")
    running.run("backup", "python", "manage.py", "backup", "--to", target)
    running.run("backup", "python", "manage.py", "restore", "--from", target, "--verify")


def test_workers_are_well_as_compose_asks_them(running, ask):
    until = time.monotonic() + 180
    while True:
        try:
            running.run("worker-cpu", *topology.services()["worker-cpu"]["healthcheck"]["test"][1:])
            break
        except AssertionError:
            assert time.monotonic() < until
            time.sleep(1)


def test_all_end_within_their_grace_and_nothing_is_left(running, place, ask):
    took = running.stop()
    assert set(took) == set(ORDER)
    assert processes_below(place / "here") == []


def test_no_server_was_brought_up_here(running, place):
    assert list((place / "here").rglob("stack.json")) == []
    assert [path.name for path in (place / "here").iterdir() if path.name in stack.ALL] == []


def test_logs_hold_neither_secrets_nor_what_people_wrote(running):
    for service in ORDER:
        log = running.log(service).read_text()
        assert WORDS not in log
        for name in ("secret_key", "database_password", "broker_password", "s3_secret_key"):
            assert running.secret(name) not in log
