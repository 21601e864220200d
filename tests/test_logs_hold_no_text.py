"""What a user wrote, how a program calls its users, prompts, outputs and keys stand in no line of the log."""

import io
import json
import logging

import pytest
from django.conf import settings
from django.test import Client

from common.logs.formats import formatter
from common.logs.without_users_text import WithoutUsersText
from jobs.models import Job
from tests.eval_app.stored import small_t5
from training_app.models import Generation

MARKER = "MARKERTEXT"
USER = "markeruser-7"
DOCUMENT = "markerdocument-7"


@pytest.fixture(params=["console", "json"])
def log(request):
    """Everything that is logged, of every level, as the settings' handler would write it."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(formatter(request.param))
    handler.addFilter(WithoutUsersText())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.fixture
def issued(api_key):
    return api_key()


@pytest.fixture
def api(issued, client_of):
    return client_of(issued)


def test_neither_web_nor_worker_logs_what_a_user_wrote(log, api, issued, in_process):

    asked = {"user": USER, "task": "LaMP-7", "base_model": small_t5().public_name}
    fields = {"text": f"so tired of {MARKER} already"}
    assert api.put(f"/api/v1/users/{USER}").status_code == 201
    document = {"id": DOCUMENT, "task": "LaMP-7", "fields": fields}
    assert api.post(f"/api/v1/users/{USER}/documents", document).status_code == 200
    assert api.post("/api/v1/generations", {**asked, "method": "rag", "fields": fields}).status_code == 202
    assert api.post("/api/v1/adapters", asked).status_code == 202
    in_process("generate", "train_adapter")
    # What is refused, what leads nowhere, and what no server can read.
    assert api.post("/api/v1/generations", {**asked, "method": "rag", "input": MARKER}).status_code == 400
    assert api.post("/api/v1/generations", {**asked, "method": MARKER}).status_code == 400
    assert api.get(f"/api/v1/users/{MARKER}").status_code == 404
    assert Client().get(f"/{MARKER}?q={MARKER}").status_code == 404
    assert api.generic("POST", "/api/v1/generations", f'{{"user": "{MARKER}', "application/json").status_code == 400

    done = Generation.objects.get()
    assert (done.state, MARKER in done.prompt) == ("done", True)
    said = log.getvalue()
    assert f"generate {Job.objects.get(kind='generate').pk}" in said
    secrets = [
        MARKER,
        USER,
        DOCUMENT,
        issued.token,
        issued.token.rpartition("_")[2],
        done.output,
        settings.S3_SECRET_KEY,
    ]
    assert [secret for secret in secrets if secret in said] == []


def test_a_request_is_followed_to_its_job(api, client_of, issued, caplog, in_process):
    client = client_of(issued)
    asked = {"user": USER, "task": "LaMP-7", "base_model": small_t5().public_name, "method": "none", "input": MARKER}
    with caplog.at_level(logging.INFO):
        caplog.handler.setFormatter(formatter("json"))
        client.put(f"/api/v1/users/{USER}")
        caplog.clear()
        answer = client.post("/api/v1/generations", asked, headers={"X-Request-Id": "mine-1"})
        assert (answer.status_code, answer.headers["X-Request-Id"]) == (202, "mine-1")
        in_process("generate")
    lines = [json.loads(line) for line in caplog.text.splitlines()]
    job = Job.objects.get(kind="generate")
    (enqueued,) = [line for line in lines if "was enqueued" in line["message"]]
    assert (enqueued["request_id"], enqueued["job_id"]) == ("mine-1", job.pk)
    (ended,) = [line for line in lines if line["message"].startswith(f"generate {job.pk}, attempt 1: done")]
    assert (ended["job_id"], ended["workspace_id"], "request_id" in ended) == (job.pk, job.workspace_id, False)


@pytest.mark.parametrize("given", ["", "x" * 65, "two words", "a\nb", 'quo"te', "café"])
def test_a_request_is_named_by_us_where_the_client_names_it_badly(db, given):
    answer = Client().get("/login/", headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] not in ("", given)
    assert len(answer.headers["X-Request-Id"]) == 32
