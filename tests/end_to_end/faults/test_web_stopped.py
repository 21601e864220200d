"""A web server that is told to stop answers whoever waits, before gunicorn would drop them."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from embedded.ports import free_port
from jobs.models import Job
from tests.eval_app.stored import small_t5
from tests.jobs.conftest import until, worker_environment
from tests.people import TWEETS
from tests.servers import REPOSITORY

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]

QUESTION = {"user": "alice", "task": TWEETS, "fields": {"text": "roses"}, "method": "none", "max_output_tokens": 4}
PROMPT = "Paraphrase the following tweet without any explanation before or after it: roses"


class Web:
    """One gunicorn, as `serve` and compose start it."""

    def __init__(self, environment, key):
        self.port = free_port()
        self._key = key
        bind = ("--config", "python:config.gunicorn_options", "--bind", f"127.0.0.1:{self.port}")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *bind],
            cwd=REPOSITORY,
            env=environment | {"DJANGO_SETTINGS_MODULE": "config.settings", "WEB_PROCESSES": "1"},
            start_new_session=True,
        )

    def ask(self, method, path, body=None, *, begun=lambda: None, **headers):
        """Status, headers and the whole body of an answer; calls `begun` once there is something of it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        told = {"Host": "localhost", "Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), told | headers)
            answer = connection.getresponse()
            begun()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def answers(self):
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except OSError:
            return False


@pytest.fixture
def web(settings, api_key, alice):
    settings.DEFAULT_BASE_MODEL = "small"
    small_t5()
    made = Web(worker_environment(settings) | {"DEFAULT_BASE_MODEL": "small"}, api_key().token)
    try:
        until(made.answers, seconds=120)
        yield made
    finally:
        if made.process.poll() is None:
            os.killpg(made.process.pid, signal.SIGKILL)
        made.process.wait()


def test_who_waits_is_told_where_the_answer_will_be(web):
    """No worker runs, so nothing of it ends."""
    told = {"model": "small", "user": "alice", "prompt": PROMPT, "task": TWEETS}
    asked = {
        "prefer": ("POST", "/api/v1/generations", QUESTION, {"Prefer": "wait=60"}),
        "openai": ("POST", "/v1/completions", told, {}),
        "stream": ("POST", "/v1/completions", told | {"stream": True}, {}),
    }
    answers = {}

    def ask(name, method, path, body, headers):
        answers[name] = web.ask(method, path, body, **headers)

    threads = [threading.Thread(target=ask, args=(name, *how)) for name, how in asked.items()]
    for thread in threads:
        thread.start()
    jobs = until(lambda: Job.objects.filter(kind="generate").count() == 3 and Job.objects.all(), seconds=60)
    followed = threading.Event()
    told_of = ("job", "GET", f"/api/v1/jobs/{jobs[0].pk}/events", None, {"begun": followed.set})
    follows = threading.Thread(target=ask, args=told_of)
    follows.start()
    assert followed.wait(60)
    time.sleep(1)
    began = time.monotonic()
    web.process.terminate()
    assert web.process.wait(60) == 0
    took = time.monotonic() - began
    for thread in (*threads, follows):
        thread.join(10)

    # Something may have come within the time that was left.
    assert 4 < took < 15
    status, headers, body = answers["prefer"]
    assert (status, json.loads(body)["state"]) == (202, "waiting")
    assert headers["Location"] == f"/api/v1/generations/{json.loads(body)['id']}"
    status, headers, body = answers["openai"]
    assert (status, json.loads(body)["error"]["code"], headers["x-should-retry"]) == (503, "stopping", "false")
    assert "/api/v1/generations/" in json.loads(body)["error"]["message"]
    assert answers["stream"][0] == 200
    assert '"code":"stopping"' in answers["stream"][2].replace(" ", "")
    assert answers["job"][0] == 200
    assert "event: job" in answers["job"][2]
    assert set(Job.objects.values_list("state", flat=True)) == {"waiting"}
