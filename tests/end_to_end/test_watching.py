"""A running installation as whoever watches it sees it: health, readiness, numbers and logs of all its processes."""

import json
import signal
import time
import urllib.error
import urllib.request
from dataclasses import replace

import psutil
import pytest

from embedded.ports import free_port

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

MARKER = "MARKERTEXT"
USER = "markeruser-7"
TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def watched(installation):
    return replace(installation, settings={"LOG_FORMAT": "json", "LAMPPOST_METRICS_TOKEN": TOKEN})


@pytest.fixture(scope="module")
def ask(watched):
    """Ask the running web: `ask("/readyz")`; the status and the body."""
    port = free_port()
    serve = watched.start("serve", "--port", str(port), "--cpu-workers", "1")

    def send(path, body=None, *, token=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()
        except urllib.error.URLError:
            return 0, ""

    try:
        # Slow machines start slowly; `serve` gives up by itself.
        until(lambda: send("/readyz")[0] == 200 and '"workers": {"state": "up"' in send("/readyz")[1], seconds=240)
        yield send
    finally:
        serve.send_signal(signal.SIGTERM)
        out, err = serve.communicate(timeout=120)
    assert serve.returncode == 0, out + err


def until(condition, *, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come true"
        time.sleep(0.3)


def test_numbers_and_logs_tell_of_web_and_workers_and_of_no_text(watched, ask):
    key = watched.run("create_api_key", "--workspace", "shop", "--name", "first", "--scopes", "all").split()[-1]
    document = {"id": "1", "task": "LaMP-7", "fields": {"text": f"so tired of {MARKER} already"}}
    assert ask(f"/api/v1/users/{USER}", {}, token=key, method="PUT")[0] == 201
    assert ask(f"/api/v1/users/{USER}/documents", document, token=key)[0] == 200
    asked = {"user": USER, "task": "LaMP-7", "method": "rag", "fields": document["fields"]}
    # Until a worker has loaded the model, clients are told to come again.
    until(lambda: ask("/api/v1/generations", asked, token=key)[0] == 202, seconds=240)

    counted = [
        'lamppost_job_attempt_seconds_count{kind="generate",outcome="done"} 1.0',
        'lamppost_http_request_seconds_count{method="POST",route="api/v1/generations",status="2xx"} 1.0',
        'lamppost_retrieval_seconds_count{retriever="bm25"} 1.0',
    ]
    # Each process publishes what it has counted every few seconds.
    until(lambda: set(counted) <= set(ask("/metrics", token=TOKEN)[1].splitlines()), seconds=180)
    assert ask("/metrics")[0] == 401

    logs = {path.name: path.read_text() for path in (watched.var / "log").glob("*.log")}
    assert {"web.log", "worker-model.log", "beat.log"} <= set(logs)
    for text in logs.values():
        assert [secret for secret in (MARKER, USER, key, TOKEN) if secret in text] == []
    for name in ("web.log", "worker-model.log"):
        lines = [json.loads(line) for line in logs[name].splitlines() if line.startswith("{")]
        assert any(line.get("workspace_id") for line in lines)


def test_without_the_broker_it_lives_and_is_not_ready(watched, ask):
    (redis,) = [one for one in psutil.process_iter() if _is_redis_of(one, watched.var)]
    redis.suspend()
    try:
        until(lambda: ask("/readyz")[0] == 503, seconds=60)
        assert json.loads(ask("/readyz")[1])["parts"]["broker"]["state"] == "timeout"
        assert ask("/healthz")[0] == 200
    finally:
        redis.resume()
    until(lambda: ask("/readyz")[0] == 200, seconds=120)


def _is_redis_of(process, var):
    try:
        return "redis-server" in process.name() and str(var) in process.cwd()
    except psutil.Error:
        return False
