"""Requests that wait, over real transactions and connections."""

import json
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest
from django.db import connection

from jobs.models import Job
from jobs.runner import run_waiting
from tests.eval_app.stored import small_t5
from tests.people import TWEETS
from training_app.models import Generation
from training_app.waiting import stop_listening

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("small")]

ADDRESS = "/api/v1/generations"
BODY = {"user": "alice", "task": TWEETS, "fields": {"text": "roses"}, "max_output_tokens": 4, "num_beams": 1}


@pytest.fixture
def small(settings, transactional_db):
    settings.DEFAULT_BASE_MODEL = "small"
    yield small_t5()
    stop_listening()


def work():
    """Answer what is asked, once it is there."""
    until = time.monotonic() + 20
    while not Job.objects.filter(kind="generate").exists() and time.monotonic() < until:
        time.sleep(0.02)
    run_waiting(["generate"])


def in_threads(*steps):
    def run(step):
        step()
        connection.close()

    threads = [threading.Thread(target=run, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)


@pytest.mark.parametrize("address", [ADDRESS, "/api/v1/previews"])
def test_the_answer_comes_with_the_response_where_it_comes_in_time(api, alice, address):
    answers = []
    in_threads(lambda: answers.append(api.post(address, BODY, headers={"prefer": "wait=20"})), work)
    assert (answers[0].status_code, answers[0]["Preference-Applied"]) == (200, "wait=20")
    assert answers[0].data["state"] == "done"


def test_two_identical_requests_at_once_make_one_job_and_have_one_answer(api, alice):
    answers = []

    def ask():
        answers.append(api.post(ADDRESS, BODY, headers={"prefer": "wait=20", "idempotency-key": "once"}))

    in_threads(ask, ask, work)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].data == answers[1].data
    assert sorted(answer.get("Idempotency-Replayed", "") for answer in answers) == ["", "true"]
    assert Job.objects.filter(kind="generate").count() == Generation.objects.count() == 1


def test_a_client_that_hangs_up_loses_nothing(live_server, api_key, api, alice):
    body = json.dumps(BODY)
    address = urlsplit(live_server.url)
    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall(
            f"POST {ADDRESS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {api_key().token}\r\n"
            f"Content-Type: application/json\r\nPrefer: wait=3\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
    work()
    [row] = api.get(ADDRESS).data["data"]
    assert (row["state"], row["output"]) == ("done", Generation.objects.get().output)


def test_an_event_stream_tells_of_the_end_as_it_happens(api, alice):
    made = api.post(ADDRESS, BODY).data
    seen, begun = [], threading.Event()

    def follow():
        for part in api.get(f"{ADDRESS}/{made['id']}/events").streaming_content:
            seen.append(part.decode())
            begun.set()

    in_threads(follow, lambda: (begun.wait(20), work()))
    states = [json.loads(part.split("data: ")[1])["state"] for part in seen if "data: " in part]
    assert (states[0], states[-1]) == ("waiting", "done")
